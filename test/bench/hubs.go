package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/server/dev"
)

// hubs are embedded hubs in processes of their own, as links.
type hubs struct {
	processes []*process
	links     []hub.Linked
}

func (h *hubs) stop() {
	for _, p := range h.processes {
		p.stop()
	}
}

// startHubs starts two hubs that keep their devices in memory.
func (l *lab) startHubs(ctx context.Context) (*hubs, error) {
	h := &hubs{}
	for _, host := range hosts()[1:] {
		link, err := h.start(ctx, l, host)
		if err != nil {
			h.stop()
			return nil, err
		}
		h.links = append(h.links, link)
	}
	return h, nil
}

func (h *hubs) start(ctx context.Context, l *lab, host string) (hub.Linked, error) {
	address, err := freeAddress(host)
	if err != nil {
		return hub.Linked{}, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return hub.Linked{}, err
	}
	dir, err := l.folder("hub")
	if err != nil {
		return hub.Linked{}, err
	}
	file := filepath.Join(dir, "ready.json")
	p, err := l.start(ctx, "hub", l.binary, "hub-emulator", "--host", host, "--port", port, "--mqtt-port", "0",
		"--cert", l.pki.serverCert, "--key", l.pki.serverKey, "--ready-file", file)
	if err != nil {
		return hub.Linked{}, err
	}
	h.processes = append(h.processes, p)
	var ready dev.ReadyHub
	err = p.await(ctx, func() bool {
		text, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(text, &ready) == nil && accepts(address)
	})
	return l.link(host, address, dps.NewSecret(ready.ConnectionString)), err
}

// link is the link of a hub with the lab's certificate.
func (l *lab) link(host, address string, connection dps.Secret) hub.Linked {
	return hub.Linked{
		HostName: host, Kind: hub.KindAzureIoT, DialAddress: address, ConnectionString: connection,
		TrustedCAs: l.pki.serverRoot.PEM(), AllocationWeight: 1, ApplyAllocation: true, Updated: time.Now(),
	}
}
