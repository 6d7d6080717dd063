"""Django settings. Everything that differs from place to place is read in `environment`."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
from django.conf import global_settings
from psycopg.conninfo import conninfo_to_dict

from annotate import environment
from annotate.jobs import Folder, Queue, routes

django_stubs_ext.monkeypatch()

ENV = environment.read()
BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = ENV.secret_key
DEBUG = ENV.debug
ALLOWED_HOSTS = ENV.allowed_hosts
CSRF_TRUSTED_ORIGINS = ENV.trusted_origins

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "inference",
    "annotate",
    "training",
]
AUTH_USER_MODEL = "annotate.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    # Before the one that answers with files: those are framed and run as well.
    "annotate.security_policy.security_policy",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "annotate.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- services -------------------------------------------------------------------------------

_database = conninfo_to_dict(ENV.database_url)
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "annotate.postgres",
        "NAME": _database.pop("dbname"),
        "USER": _database.pop("user", ""),
        "PASSWORD": _database.pop("password", ""),
        "HOST": _database.pop("host", ""),
        "PORT": str(_database.pop("port", "")),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "options": "-c statement_timeout=60000 -c lock_timeout=15000",
            # The labeling requests repeat a handful of statements: let the server plan them once.
            "server_side_binding": True,
            "prepare_threshold": 5,
            **_database,
        },
        "DISABLE_SERVER_SIDE_CURSORS": False,
    }
}
CACHES = {
    "default": {
        "BACKEND": "annotate.cache.Cache",
        "LOCATION": ENV.cache_url,
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},
    }
}
# Read from the cache, written through to the database: a flushed cache signs nobody out.
SESSION_ENGINE = "annotate.sessions"
SESSION_COOKIE_AGE = 14 * 24 * 3600

CELERY_BROKER_URL = ENV.broker_url
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_DEFAULT_QUEUE = str(Queue.DEFAULT)
CELERY_TASK_ROUTES = routes()
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A request that sends a job waits no longer than this for a broker that hangs.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "socket_timeout": 5,
    "socket_connect_timeout": 5,
}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    # Ticks that were missed are worthless: they expire instead of piling up.
    "check-replicas": {
        "task": "inference.check_replicas",
        "schedule": 5.0,
        "options": {"expires": 5.0},
    },
    "advance-rounds": {
        "task": "annotate.advance_rounds",
        "schedule": 3.0,
        "options": {"expires": 3.0},
    },
    "advance-snapshots": {
        "task": "training.advance_snapshots",
        "schedule": 10.0,
        "options": {"expires": 10.0},
    },
    "advance-evaluations": {
        "task": "training.advance_evaluations",
        "schedule": 5.0,
        "options": {"expires": 5.0},
    },
    "advance-runs": {
        "task": "training.advance_runs",
        "schedule": 5.0,
        "options": {"expires": 5.0},
    },
    # On the machines that train, where the folders of the runs are.
    "tidy-runs": {
        "task": "training.tidy_runs",
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
    "turn-loops": {
        "task": "training.turn_loops",
        "schedule": 3.0,
        "options": {"expires": 3.0},
    },
    "advance-promotions": {
        "task": "training.advance_promotions",
        "schedule": 5.0,
        "options": {"expires": 5.0},
    },
}


def _storage(name: str, folder: Folder) -> dict[str, Any]:
    """A folder of this machine, or one in a bucket."""
    if not ENV.storage_url:
        backend = "django.core.files.storage.FileSystemStorage"
        return {"BACKEND": backend, "OPTIONS": {"location": ENV.var_dir / folder}}
    bucket = urlsplit(ENV.storage_url)
    return {
        "BACKEND": "annotate.s3.S3Folder",
        "OPTIONS": {
            "bucket_name": bucket.netloc,
            "location": f"{bucket.path}/{name}".strip("/"),
            "endpoint_url": ENV.storage_endpoint_url or None,
        },
    }


STORAGES = {
    **global_settings.STORAGES,
    "snapshots": _storage("snapshots", Folder.SNAPSHOTS),
    "adapters": _storage("adapters", Folder.ADAPTERS),
}
SNAPSHOT_DRAFTS = ENV.var_dir / Folder.DRAFTS
ADAPTER_COPIES = ENV.var_dir / Folder.COPIES
TRAINING_RUNS = ENV.var_dir / Folder.RUNS
TRAINING_SCORES = ENV.var_dir / Folder.SCORES
TRAINING_MODEL = ENV.training_model
TRAINING_LAUNCH = ENV.training_launch
TRAINING_KEEP_DAYS = ENV.training_keep_days
TRAINING_ROLLOUTS_URL = ENV.training_rollouts_url
TRAINING_ROLLOUTS_API_KEY = ENV.training_rollouts_api_key
MODELS = ENV.var_dir / Folder.MODELS

INFERENCE_URLS = ENV.inference_urls
INFERENCE_API_KEY = ENV.inference_api_key
INFERENCE_CONCURRENCY = ENV.inference_concurrency
INFERENCE_MODEL = ENV.model
INFERENCE_LARGEST_RANK = ENV.largest_rank  # of an adapter that the replicas take; 0: of none
CHAT_TEMPLATE = ENV.chat_template
CHAT_TEMPLATE_KWARGS = ENV.chat_template_kwargs
INFERENCE_ADAPTER_FOLDER = ENV.var_dir / Folder.SERVED
GENERATION_AHEAD = ENV.generation_ahead
GENERATION_AHEAD_EACH = ENV.generation_ahead_each
GENERATION_AHEAD_MOST = ENV.generation_ahead_most

# --- web ------------------------------------------------------------------------------------

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
USE_I18N = False

FRONTEND_DIST = BASE_DIR / "frontend" / "dist"
STATIC_URL = "/static/"
STATIC_ROOT = ENV.var_dir / "static"
STATICFILES_DIRS = [FRONTEND_DIST] if FRONTEND_DIST.is_dir() else []
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_KEEP_ONLY_HASHED_FILES = False
WHITENOISE_MAX_AGE = 3600
# The build puts a hash of the content into the name of each of these.
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/assets/.+-[\w-]{8}\.\w+$"

DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # of a form's fields; files are not counted
FILE_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = ENV.https
SECURE_HSTS_SECONDS = 31_536_000 if ENV.https else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.https else None

AUTHENTICATION_BACKENDS = ["annotate.api.authentication.PreparedBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/sign-in"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "annotate.api.authentication.SessionAuthentication",
        "annotate.api.authentication.TokenAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["annotate.api.rendering.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["annotate.api.rendering.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "annotate.api.schema.NamedOperations",
    "EXCEPTION_HANDLER": "annotate.api.errors.exception_handler",
    "DEFAULT_THROTTLE_RATES": {"sign-in": "10/min", "sign-in-address": "200/min"},
    "NUM_PROXIES": 1 if ENV.https else 0,
    "URL_FORMAT_OVERRIDE": None,  # `format` is a parameter like others: where it is declared
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
REST_KNOX = {"TOKEN_TTL": timedelta(days=90), "TOKEN_LIMIT_PER_USER": 20}
SPECTACULAR_SETTINGS = {
    "TITLE": "Prefloop",
    "DESCRIPTION": "Human rankings of a model's own completions.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "RoundStateEnum": "annotate.models.RoundState",
        "SnapshotStateEnum": "training.models.SnapshotState",
        "RunStateEnum": "training.models.RunState",
        "RunFieldTypeEnum": "training.runs.options.FIELD_KINDS",
        "EvaluationStateEnum": "training.models.EvaluationState",
        "PromotionKindEnum": "training.models.PromotionKind",
        "PromotionStateEnum": "training.models.PromotionState",
        "StandingEnum": "training.models.Standing",
        "LoopStepStateEnum": "training.models.StepState",
        "LoopStageEnum": "training.models.Stage",
        "LineageKindEnum": "training.queries.lineage.KINDS",
        "WhenPassedEnum": ["automatic", "ask"],
        "StaleEnum": "annotate.models.Stale",
        "RoleEnum": "annotate.models.Role",
        "SplitEnum": "annotate.models.Split",
        "RationaleEnum": "annotate.models.Rationale",
        "FlagKindEnum": "annotate.models.FlagKind",
        "ModelKindEnum": ["base", "adapter"],
        "RoundModelKindEnum": ["current", "base", "adapter"],
        "SelftestEnum": ["pending", "passed", "failed"],
        "InferenceStateEnum": ["ready", "loading", "down", "failing"],
        "MessageRoleEnum": ["system", "user", "assistant"],
    },
}
UNFOLD = {"SITE_TITLE": "Prefloop", "SITE_HEADER": "Prefloop", "SITE_URL": "/"}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "annotate.logs.hiding",
            "format": "{asctime} {levelname:<7} {name}: {message}",
            "style": "{",
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": ENV.log_level},
    "loggers": {"httpx": {"level": "WARNING"}},
}
