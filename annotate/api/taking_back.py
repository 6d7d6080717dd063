"""A labeler takes back that they skipped or flagged a task."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.asked import AskedView
from annotate.api.held_task import ClaimShape, claim_shape
from annotate.api.shapes import Shape
from annotate.api.views import user_of
from annotate.services import queue, taking_back


class TakenBackShape(Shape):
    claim = ClaimShape(allow_null=True, help_text="Null: others have the task by now.")


class TakeBackView(AskedView):
    @extend_schema(request=None, responses={200: TakenBackShape})
    def post(self, request: Request, claim_id: int) -> Response:
        """Take up a task again that I skipped or flagged.

        A flag is withdrawn also when others have the task by now; a skip is refused then.
        """
        claim = taking_back.take_back(claim_id=claim_id, labeler_id=user_of(request).pk)
        held = None if claim is None else queue.look(claim_id=claim)
        return Response({"claim": None if held is None else claim_shape(held)})
