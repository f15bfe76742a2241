# A worker with GPUs: the same Python and the same versions as docker/Dockerfile (Ray wants both equal on all nodes) on a
# CUDA base, without compilers, without root. From the repository's root:
#   docker build -f docker/gpu.Dockerfile -t pluralign-gpu:0.1.0 .
#   docker run --rm --gpus all -v "$PWD:/srv/pluralign" pluralign-gpu:0.1.0 run small
# It needs NVIDIA's container toolkit on the host. PyTorch's wheels bring their own CUDA libraries: the base says which
# driver the host must have, and brings ldconfig's entries and the toolkit's variables. CUDA has to be the version that
# the wheel of torch in requirements.lock was built for (`python -c "import torch; print(torch.version.cuda)"`).
# To pin both bases: the digest of each by `docker buildx imagetools inspect TAG --format '{{.Manifest.Digest}}'`, then
#   --build-arg PYTHON=python:3.11.14-slim-bookworm@sha256:… --build-arg CUDA=nvidia/cuda:13.0.1-base-ubuntu24.04@sha256:…
ARG PYTHON=python:3.11.14-slim-bookworm
ARG CUDA=nvidia/cuda:13.0.1-base-ubuntu24.04

# hadolint ignore=DL3006
FROM ${PYTHON} AS built
ARG EXTRAS="[postgres,ray,4bit,gguf]"
COPY . /opt/pluralign
RUN pip install --no-cache-dir --constraint /opt/pluralign/requirements.lock "/opt/pluralign${EXTRAS}"

# hadolint ignore=DL3006
FROM ${CUDA}
# What Python's own modules link to; the versions are the base's.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
       ca-certificates libbz2-1.0 libexpat1 libffi8 liblzma5 libncursesw6 libreadline8t64 libsqlite3-0 libssl3t64 \
       libuuid1 zlib1g \
    && rm -rf /var/lib/apt/lists/*
COPY --from=built /usr/local/bin /usr/local/bin
COPY --from=built /usr/local/lib /usr/local/lib
COPY --from=built /opt/pluralign /opt/pluralign
RUN ldconfig \
    && python3 -c "import bz2, ctypes, lzma, readline, sqlite3, ssl, uuid, zlib, torch, ray" \
    && ln -s /opt/pluralign/docker/on-ray /usr/local/bin/on-ray \
    && (userdel --remove ubuntu || true) \
    && useradd --uid 1000 --create-home pluralign \
    && mkdir /srv/pluralign \
    && chown pluralign /srv/pluralign
ENV LANG=C.UTF-8 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000:1000
WORKDIR /srv/pluralign
# The toolkit brings nvidia-smi. It fails where no GPU was given, or where one has fallen off the bus.
HEALTHCHECK --interval=30s --timeout=20s --start-period=30s --retries=3 \
    CMD ["nvidia-smi", "--list-gpus"]
ENTRYPOINT ["pluralign"]
CMD ["--help"]
