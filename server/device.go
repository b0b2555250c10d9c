package server

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/zerotouch-dps/dps/endpoint/acceptor"
	"github.com/zerotouch-dps/dps/internal/peer"
)

// Device is where devices connect.
type Device struct {
	// Address is host:port of HTTPS and, beside it, of the WebSockets. Default :443.
	Address string `koanf:"address"`
	// Certificates are tried in order: the first that the client can use is presented.
	// They are read again when the files change.
	Certificates []KeyPair `koanf:"certificates"`
	// MQTT is the MQTT listener. Default: port 8883 of the same host.
	MQTT Door `koanf:"mqtt"`
	// AMQP is the AMQP listener. Default: port 5671 of the same host.
	AMQP Door `koanf:"amqp"`
	// Connections bounds what the clients of all these listeners take.
	Connections Connections `koanf:"connections"`
	// TrustedProxies are the addresses and networks (10.0.0.0/8) of load balancers that are
	// believed about their clients: by X-Forwarded-For on HTTPS, and by ProxyProtocol.
	// Nobody else is. Default: none.
	TrustedProxies []string `koanf:"trustedProxies"`
	// ProxyProtocol says whether trusted proxies begin each connection with a PROXY
	// protocol header of version 2: off, optional (without one a connection is the proxy's
	// own) or required (it is closed). Default off.
	ProxyProtocol string `koanf:"proxyProtocol"`
}

// Door is a TLS listener that presents the certificates of Device.
type Door struct {
	// Address is host:port, or "off" for none.
	Address string `koanf:"address"`
}

// Connections bounds the connections of all device listeners; zero values mean the
// defaults.
type Connections struct {
	// Max is how many may be open at once, over all transports. Default 100000.
	Max int `koanf:"max"`
	// PerAddress is how many of one address (IPv6: of one /64) may be open at once. Default
	// 20000. A trusted proxy's clients count each by their own.
	PerAddress int `koanf:"perAddress"`
	// Handshakes is how many TLS handshakes are worked on at a time, a quarter of them of
	// one address; more wait. Default 256.
	Handshakes int `koanf:"handshakes"`
	// Lifetime is how long a connection of MQTT, AMQP or a WebSocket may last. Default 1h.
	Lifetime time.Duration `koanf:"lifetime"`
}

func (c Connections) limits() acceptor.Limits {
	return acceptor.Limits{Connections: c.Max, PerAddress: c.PerAddress, Handshakes: c.Handshakes, Lifetime: c.Lifetime}
}

func (c Connections) negative() bool {
	return min(c.Max, c.PerAddress, c.Handshakes) < 0 || c.Lifetime < 0
}

// off is the address of a listener that shall not be, and no PROXY protocol.
const off = "off"

// headerPolicies are the values of Device.ProxyProtocol.
func headerPolicies() map[string]acceptor.HeaderPolicy {
	return map[string]acceptor.HeaderPolicy{
		"": acceptor.HeaderNone, off: acceptor.HeaderNone,
		"optional": acceptor.HeaderOptional, "required": acceptor.HeaderRequired,
	}
}

// proxies reads the load balancers before the listeners.
func (d Device) proxies() (acceptor.Proxies, error) {
	trusted, err := peer.ParseProxies(d.TrustedProxies)
	if err != nil {
		return acceptor.Proxies{}, fmt.Errorf("trustedProxies: %w", err)
	}
	header, ok := headerPolicies()[d.ProxyProtocol]
	switch {
	case !ok:
		return acceptor.Proxies{}, fmt.Errorf("proxyProtocol: want off, optional or required, not %q", d.ProxyProtocol)
	case header != acceptor.HeaderNone && len(trusted) == 0:
		return acceptor.Proxies{}, errors.New("proxyProtocol: say in trustedProxies from whom")
	}
	return acceptor.Proxies{Trusted: trusted, Header: header}, nil
}

func (d Door) validate() error {
	if d.Address == "" || d.Address == off {
		return nil
	}
	_, _, err := net.SplitHostPort(d.Address)
	return err
}

// beside returns the address of a port on the host of another address.
func beside(address, port string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil { // reported by Validate
		return ":" + port
	}
	return net.JoinHostPort(host, port)
}
