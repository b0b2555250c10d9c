package server

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/amqp"
	"github.com/zerotouch-dps/dps/endpoint/mqtt"
	"github.com/zerotouch-dps/dps/endpoint/websocket"
)

// door is a listener of a long-lived transport.
type door struct {
	transport string
	listener  net.Listener
	serve     endpoint.ServeFunc
}

// protocols are what is spoken over WebSocket, by lower-case subprotocol.
func protocols(c *endpoint.Conversation) map[string]websocket.Protocol {
	return map[string]websocket.Protocol{
		"mqtt":                            {Transport: "mqtt-ws", Serve: mqtt.New(c).Serve},
		strings.ToLower(amqp.Subprotocol): {Transport: amqp.TransportWebSocket, Serve: amqp.New(c, amqp.Timeouts{}).Serve},
	}
}

// openDoors binds the listeners of the long-lived transports.
func (s *Server) openDoors(ctx context.Context) error {
	for _, d := range []struct {
		transport, address string
		serve              endpoint.ServeFunc
	}{
		{"mqtt", s.config.Device.MQTT.Address, mqtt.New(s.conversation).Serve},
		{amqp.Transport, s.config.Device.AMQP.Address, amqp.New(s.conversation, amqp.Timeouts{}).Serve},
	} {
		if d.address == "" || d.address == off {
			continue
		}
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", d.address)
		if err != nil {
			return fmt.Errorf("%s listener: %w", d.transport, err)
		}
		s.doors = append(s.doors, door{d.transport, l, d.serve})
	}
	return nil
}

// MQTTAddr is where the MQTT listener is bound; nil: there is none.
func (s *Server) MQTTAddr() net.Addr { return s.doorAddr("mqtt") }

// AMQPAddr is where the AMQP listener is bound; nil: there is none.
func (s *Server) AMQPAddr() net.Addr { return s.doorAddr(amqp.Transport) }

func (s *Server) doorAddr(transport string) net.Addr {
	for _, d := range s.doors {
		if d.transport == transport {
			return d.listener.Addr()
		}
	}
	return nil
}
