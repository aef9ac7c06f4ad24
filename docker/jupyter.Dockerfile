# JupyterLab with labkit, beside servers that run in other containers. It holds no secret: the passwords come with its
# environment, and JupyterLab makes a token of its own at each start.
FROM python:3.11-slim-bookworm
RUN useradd --uid 1000 --create-home learner \
 && install -d -o learner -g learner /home/learner/lab /home/learner/labkit
WORKDIR /home/learner/labkit
# The packages first: they change seldom.
COPY requirements-uv.txt requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements-uv.txt \
 && uv pip install --no-cache --compile-bytecode --python "$(command -v python)" --require-hashes -r requirements.txt
COPY --chown=learner:learner pyproject.toml README.md ./
COPY --chown=learner:learner labkit labkit
COPY --chown=learner:learner notebooks notebooks
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .
USER learner
EXPOSE 8888
VOLUME /home/learner/lab
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser", "--notebook-dir=notebooks"]
