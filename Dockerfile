# A hub in 30 MB: one static binary, certificates for TLS to PostgreSQL, and a folder for the database.
#
#   docker build -t crosstalk .
#   docker run -e MCP_API_KEY=... -p 8787:8787 -v crosstalk:/data crosstalk

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=devel
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /out/crosstalk ./cmd/crosstalk
RUN mkdir -p /out/etc/ssl/certs /out/data /out/tmp && chmod 1777 /out/tmp && chown 65532:65532 /out/data && \
    cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

# Started as root, for hosts that give volumes to root: the hub takes its folder and becomes the user below.
FROM scratch AS rooted
COPY --from=build /out/ /
ENV HOME=/data CROSSTALK_DB=/data/crosstalk.db CROSSTALK_RUN_AS=65532:65532 PORT=8787
EXPOSE 8787
VOLUME /data
ENTRYPOINT ["/crosstalk"]
CMD ["serve"]

FROM rooted
USER 65532:65532
