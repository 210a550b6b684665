"""The project's settings."""

import os

SECRET_KEY = os.environ.get("SECRET_KEY", "yours is not in the source")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "api"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "api.db"}}
AUTH_PASSWORD_VALIDATORS = [{"NAME": "daypass.web.django.passwords.EndSessions"}]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["daypass.web.django.rest_framework.DaypassAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
DAYPASS = "identity.auth"
