from ._content import (
    CandidateSummary as CandidateSummary,
    DashboardContent as DashboardContent,
    DocumentsContent as DocumentsContent,
    EarlierFigures as EarlierFigures,
    ExampleCase as ExampleCase,
    FlippedCase as FlippedCase,
    Flips as Flips,
    IntakeDay as IntakeDay,
    Link as Link,
    SingleFile as SingleFile,
    SliceExamples as SliceExamples,
)
from ._dashboard import render_dashboard as render_dashboard
from ._documents._model_card import model_card as model_card
from ._documents._page import escape_markdown as escape_markdown
from ._documents._technical_file import technical_file as technical_file
from ._formatting import aligned as aligned
from ._index import (
    ListedAudit as ListedAudit,
    ListedCertificate as ListedCertificate,
    index_page as index_page,
)
from ._labels import label_notes as label_notes
from ._last_words import (
    HEIGHT as HEIGHT,
    Notice as Notice,
    fit_notices as fit_notices,
    height as height,
    outcome_table as outcome_table,
    scorecard_notices as scorecard_notices,
)
from ._slices import standout_slices as standout_slices
from ._terminal import (
    difference_lines as difference_lines,
    printable as printable,
    summary_lines as summary_lines,
)
