# The server and nothing else: packages by the lock's hashes, a user without rights, everything that is kept in /data.
#   docker build -t memoras .
#   docker run -p 127.0.0.1:8080:8080 -v memoras-data:/data --env-file .env memoras
# Behind a mirror of PyPI, lend the build your pip settings: docker build --secret id=pip,src=$HOME/.config/pip/pip.conf .

FROM python:3.11-slim-bookworm AS packages
WORKDIR /build
COPY requirements.lock .
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    python -m venv /opt/memoras \
    && /opt/memoras/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r requirements.lock \
    && /opt/memoras/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin memoras \
    && install -d -o memoras -g memoras -m 0700 /data
COPY --from=packages /opt/memoras /opt/memoras
WORKDIR /app
COPY bot bot
COPY admin admin
COPY agents agents
COPY channels channels
COPY knowledge knowledge
COPY docker/healthy.py docker/healthy.py
RUN python -m compileall -q .

ENV PATH=/opt/memoras/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MEMORAS_DATA=/data \
    MEMORAS_HOST=0.0.0.0 \
    MEMORAS_PORT=8080
USER memoras
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "docker/healthy.py"]
ENTRYPOINT ["python", "-m", "bot"]
CMD ["serve"]
