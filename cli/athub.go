package cli

import (
	"context"
	"encoding/json"

	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/server/dev"
)

// hubOf says where the assigned hub takes the device.
func (c deviceRegisterCmd) hubOf(e device.Endpoint, ready dev.Ready, r device.Result) device.Endpoint {
	overWebSocket := e.Transport == device.MQTTWebSocket || e.Transport == device.AMQPWebSocket
	e.Host, e.Transport, e.Port = r.Registration.AssignedHub, device.MQTT, c.HubPort
	if overWebSocket {
		e.Transport = device.MQTTWebSocket
	}
	for _, h := range ready.Hubs {
		if e.Port == 0 && h.HostName == e.Host && overWebSocket {
			e.Port = h.Port
		}
	}
	if e.Port == 0 {
		e.Port = e.Transport.Port()
	}
	return e
}

// connect does what a device does first at its hub.
func (c deviceRegisterCmd) connect(ctx context.Context, env *Env, hub device.Endpoint, id device.Identity, r device.Result) error {
	at, err := device.ConnectHub(ctx, hub, id, r.Registration.DeviceID)
	if err != nil {
		return err
	}
	defer at.Close()
	twin, err := at.Twin(ctx)
	if err != nil {
		return err
	}
	if err := at.Send(ctx, json.RawMessage(`{"hello":"from dps"}`)); err != nil {
		return err
	}
	if c.Output == "json" {
		text, err := json.Marshal(struct {
			Hub  string          `json:"hub"`
			Twin json.RawMessage `json:"twin"`
		}{hub.Host, twin})
		say(env.Stdout, "%s", text)
		return err
	}
	say(env.Stdout, "Connected to hub %s over %s; its twin is %s. The hub took a message.", hub.Host, hub.Transport, twin)
	return nil
}
