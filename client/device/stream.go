package device

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

const webSocketPath = "/$iothub/websocket"

// stream opens what a protocol of its own is spoken on: TLS, or with a subprotocol a
// WebSocket.
func (e Endpoint) stream(ctx context.Context, id Identity, subprotocol string) (net.Conn, error) {
	if subprotocol == "" {
		d := tls.Dialer{NetDialer: e.dialer(), Config: e.tls(id)}
		return d.DialContext(ctx, "tcp", e.address())
	}
	transport := &http.Transport{DialContext: e.dialer().DialContext, TLSClientConfig: e.tls(id)}
	ws, _, err := websocket.Dial(ctx, "wss://"+e.address()+webSocketPath, &websocket.DialOptions{ //nolint:bodyclose // the connection takes it over
		HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{subprotocol}, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, err
	}
	return websocket.NetConn(context.WithoutCancel(ctx), ws, websocket.MessageBinary), nil
}
