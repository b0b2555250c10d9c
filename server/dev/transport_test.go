package dev_test

import (
	"errors"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/internal/testserve"
	"github.com/zerotouch-dps/dps/server"
	"github.com/zerotouch-dps/dps/server/dev"
)

// TestTransports: a device is assigned, told that it is disabled, polls, and is refused
// alike over every transport.
func TestTransports(t *testing.T) {
	t.Parallel()
	d := start(t, dev.Config{InMemory: true, Listen: testserve.Loopback(t), Assign: server.Assign{Wait: new(time.Duration)}})
	for transport, port := range map[device.Transport]int{
		device.HTTPS: d.ready.Ports.HTTPS, device.MQTT: d.ready.Ports.MQTT, device.MQTTWebSocket: d.ready.Ports.HTTPS,
		device.AMQP: d.ready.Ports.AMQP, device.AMQPWebSocket: d.ready.Ports.HTTPS,
	} {
		e := d.endpoint()
		e.Transport, e.Port = transport, port
		register := func(id, key string) (device.Result, error) {
			one := device.New(e, device.Identity{RegistrationID: id, Key: dps.NewSecret(key)})
			defer one.Close()
			return one.Register(t.Context(), []byte(`{"line":3}`))
		}
		id := "dev-" + string(transport)
		d.enroll(id, deviceKey, true)
		if r, err := register(id, deviceKey); err != nil || r.Status != "assigned" || r.Registration.DeviceID != id || r.Polls == 0 {
			t.Errorf("%s: %+v, %v", transport, r, err)
		}
		d.enroll("off-"+id, deviceKey, false)
		if r, err := register("off-"+id, deviceKey); err != nil || r.Status != "disabled" {
			t.Errorf("%s: disabled: %+v, %v", transport, r, err)
		}
		_, err := register("unknown-"+id, deviceKey)
		if refused, ok := errors.AsType[*device.Error](err); !ok || refused.HTTPStatus != 401 || refused.Code != 401002 || refused.TrackingID == "" {
			t.Errorf("%s: unknown: %v", transport, err)
		}
	}
}
