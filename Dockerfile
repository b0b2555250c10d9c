FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /dps ./cmd/dps

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /dps /usr/bin/dps
EXPOSE 443 8883 5671 9443
ENTRYPOINT ["/usr/bin/dps"]
CMD ["serve", "--config", "/etc/dps/dps.yaml"]
