"""Many rows at once, made inside the database."""

from django.db import connection

from annotate.models import Project, Round, RoundState


def add_prompts(project: Project, count: int, text: str = "Write a short answer. ") -> None:
    """`count` prompts of one user turn each."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO annotate_prompt (project_id, messages, documents, tags, external_id,
                                         content_hash, split, excerpt, turns, created_at)
            SELECT %s, jsonb_build_array(jsonb_build_object('role', 'user',
                                                            'content', %s || n::text)),
                   '[]', '{}', '', encode(sha256(n::text::bytea), 'hex'), 'train',
                   left(%s || n::text, 300), 1, now()
              FROM generate_series(1, %s) n
            """,
            [project.pk, text, text, count],
        )


def write_completions(round_: Round, text: str) -> None:
    """K completions for every task of a round, which is then open for labeling."""
    source = round_.sources.select_related("served_model").get()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO annotate_completion
                   (task_id, number, text, finish_reason, token_count, prompt_tokens, logprob_sum,
                    source_id, served_model_id, model_name, adapter_hash, sampling,
                    chat_template_hash, replica, latency_ms, created_at)
            SELECT t.id, n, n::text || ': ' || %s, 'stop', 120, 20, -80.0, %s, %s, %s, '',
                   '{"temperature": 0.8, "top_p": 0.95, "max_tokens": 256, "n": 1}', '', 'local',
                   900, now()
              FROM annotate_task t CROSS JOIN generate_series(0, %s - 1) n
             WHERE t.round_id = %s ORDER BY t.position, n
            """,
            [
                text,
                source.pk,
                source.served_model_id,
                source.served_model.name,
                round_.k,
                round_.pk,
            ],
        )
        cursor.execute(
            """
            INSERT INTO annotate_slot (task_id, round_id, position, number)
            SELECT t.id, t.round_id, t.position, n
              FROM annotate_task t CROSS JOIN LATERAL generate_series(0, t.required - 1) n
             WHERE t.round_id = %s ORDER BY t.position, n
            """,
            [round_.pk],
        )
        cursor.execute(
            "UPDATE annotate_task SET state = 'ready', ready_at = now() WHERE round_id = %s",
            [round_.pk],
        )
        cursor.execute("ANALYZE")
    Round.objects.filter(pk=round_.pk).update(state=RoundState.LABELING)
    round_.refresh_from_db()
