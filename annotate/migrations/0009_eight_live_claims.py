"""A labeler holds eight tasks of a project at most, however many requests come at once."""

from typing import ClassVar

from django.db import migrations

# Two claims of one labeler are made one after the other, and each statement of a function that is
# volatile sees what was committed before it.
FUNCTION = """
CREATE FUNCTION annotate_refuse_ninth_claim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(NEW.labeler_id # (NEW.project_id << 32));
    IF (SELECT count(*) FROM annotate_claim c
          JOIN annotate_slot s ON s.claim_id = c.id AND s.ranking_id IS NULL
          JOIN annotate_round r ON r.id = s.round_id
         WHERE c.labeler_id = NEW.labeler_id AND c.project_id = NEW.project_id
           AND c.state = 'live' AND r.state IN ('generating', 'labeling') AND NOT r.paused) >= 8
    THEN
        RAISE EXCEPTION 'eight_live_claims: user % holds eight tasks', NEW.labeler_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'eight_live_claims';
    END IF;
    RETURN NEW;
END $$;
"""
TRIGGER = """
CREATE TRIGGER eight_live_claims BEFORE INSERT ON annotate_claim
FOR EACH ROW WHEN (NEW.state = 'live') EXECUTE FUNCTION annotate_refuse_ninth_claim();
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("annotate", "0008_tenancy")]
    operations: ClassVar = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION annotate_refuse_ninth_claim()"),
        migrations.RunSQL(TRIGGER, "DROP TRIGGER eight_live_claims ON annotate_claim"),
    ]
