package websocket

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/internal/apierror"
)

// Protocol is what is spoken over a WebSocket.
type Protocol struct {
	Transport string // as the log and the metrics name it
	Serve     endpoint.ServeFunc
}

// Taker runs conversations within limits; see the acceptor package.
type Taker interface {
	Take(c net.Conn, from endpoint.Peer, serve endpoint.ServeFunc) error
}

// Config is what the handler works with; no member may be nil.
type Config struct {
	// Protocols by lower-case subprotocol.
	Protocols map[string]Protocol
	Taker     Taker
	Now       func() time.Time
	Rand      io.Reader
}

// Handler upgrades requests, on any path: the SDKs do not agree on one.
type Handler struct{ Config }

// New returns the handler.
func New(c Config) *Handler { return &Handler{c} }

// Serves says whether a request asks for a WebSocket.
func Serves(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// ServeHTTP upgrades the connection and hands it on; the request is over then.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	offered, protocol, ok := h.choose(r)
	if !ok {
		id, _ := uuid.NewRandomFromReader(h.Rand) // without randomness: untracked
		apierror.Write(w, dps.Errorf(dps.BadRequest, "no such WebSocket subprotocol; devices offer %s in Sec-WebSocket-Protocol", h.names()), id.String(), h.Now())
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{offered},
		// Devices send any Origin, and no browser holds a credential that counts here.
		InsecureSkipVerify: true,
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return // Accept has answered
	}
	from := endpoint.Peer{Transport: protocol.Transport, Addr: r.RemoteAddr, TLS: r.TLS}
	// The request's context ends with this call; the acceptor's deadlines hold instead.
	conn := stream{websocket.NetConn(context.WithoutCancel(r.Context()), ws, websocket.MessageBinary), ws}
	_ = h.Taker.Take(conn, from, protocol.Serve) // refused: closed, which is all that can be said now
}

// stream is a WebSocket as a stream of bytes; packets may span frames.
type stream struct {
	net.Conn
	ws *websocket.Conn
}

// CloseNow closes without waiting for the peer's farewell.
func (s stream) CloseNow() error { return s.ws.CloseNow() }

// choose returns the first offered subprotocol that is spoken here, as it was written.
func (h *Handler) choose(r *http.Request) (string, Protocol, bool) {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.TrimSpace(name)
			if p, ok := h.Protocols[strings.ToLower(name)]; ok {
				return name, p, true
			}
		}
	}
	return "", Protocol{}, false
}

func (h *Handler) names() string {
	names := make([]string, 0, len(h.Protocols))
	for name := range h.Protocols {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " or ")
}
