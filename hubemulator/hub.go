package hubemulator

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

// Rights are what an access policy of the hub grants.
type Rights uint8

// The rights of IoT hubs. To write includes to read.
const (
	RegistryRead Rights = 1 << iota
	RegistryWrite
	ServiceConnect
	AllRights = RegistryRead | RegistryWrite | ServiceConnect
)

// Policy is a shared access policy.
type Policy struct {
	Name   string
	Key    dps.Secret // base64
	Rights Rights
}

// Config says what hub to open.
type Config struct {
	Dir      string // folder of the hub's file, made when missing; empty: in memory
	HostName string
	// SharedAccessKeyName and SharedAccessKey are the policy with all rights.
	SharedAccessKeyName string
	SharedAccessKey     dps.Secret
	Policies            []Policy         // further policies
	Now                 func() time.Time // required
	Rand                io.Reader        // required; safe for concurrent use
	// Fault, when set, is asked before each request is served.
	Fault func(*http.Request) Fault
	// Authorities returns the CA certificates that devices registered as
	// certificateAuthority may chain up to; nil: there are none.
	Authorities func(context.Context) ([]*x509.Certificate, error)
	// Observe, when set, is told what devices do. It may not block.
	Observe func(Event)
}

// EventKind is what a device did.
type EventKind string

// The kinds of events.
const (
	DeviceConnected EventKind = "connected"
	DeviceRefused   EventKind = "refused"
	DeviceLeft      EventKind = "disconnected"
	DeviceSaid      EventKind = "message"
)

// Event is something that a device did.
type Event struct {
	Kind      EventKind
	DeviceID  string // as claimed, when refused
	Transport string
	Addr      string
	Detail    string // why; or how many bytes a message has
}

// Fault is what goes wrong with a request.
type Fault struct {
	Delay      time.Duration // before anything else
	Status     int           // answered instead of serving; 0: serve
	RetryAfter time.Duration // with Status, in whole seconds
	// Lose serves the request and drops the connection instead of answering.
	Lose bool
}

// Stats counts what happened since Open.
type Stats struct {
	Calls   int64 // requests, refused ones included
	Refused int64 // requests answered with an error
	Created int64 // identities made
	Deleted int64 // identities deleted
}

// Hub is an open embedded hub. It is safe for concurrent use.
type Hub struct {
	config   Config
	store    *store
	policies map[string]policy // by folded name
	handler  http.Handler
	presence *presence
	archive  *archive

	calls, refused, created, deleted, messages atomic.Int64
}

type policy struct {
	key    []byte
	rights Rights
}

// Open opens or makes a hub. ctx bounds the opening only.
func Open(ctx context.Context, c Config) (*Hub, error) {
	if c.Now == nil || c.Rand == nil {
		return nil, errors.New("open embedded hub: Now and Rand are required")
	}
	h := &Hub{config: c, policies: map[string]policy{}}
	first := Policy{c.SharedAccessKeyName, c.SharedAccessKey, AllRights}
	for _, p := range append([]Policy{first}, c.Policies...) {
		key, err := base64.StdEncoding.DecodeString(p.Key.Reveal())
		if err != nil || len(key) == 0 || p.Name == "" {
			return nil, fmt.Errorf("open embedded hub: policy %q needs a name and a base64 key", p.Name)
		}
		h.policies[dps.FoldASCII(p.Name)] = policy{key, p.Rights}
	}
	h.presence = newPresence(c.Now)
	var err error
	if h.archive, err = newArchive(); err != nil {
		return nil, fmt.Errorf("open embedded hub: %w", err)
	}
	if h.store, err = openStore(ctx, c.Dir); err != nil {
		return nil, fmt.Errorf("open embedded hub: %w", err)
	}
	h.handler = h.routes()
	return h, nil
}

// Handler serves the registry API.
func (h *Hub) Handler() http.Handler { return h.handler }

// ConnectionString returns that of the policy with all rights.
func (h *Hub) ConnectionString() dps.Secret {
	return dps.NewSecret("HostName=" + h.config.HostName +
		";SharedAccessKeyName=" + h.config.SharedAccessKeyName +
		";SharedAccessKey=" + h.config.SharedAccessKey.Reveal())
}

// Link returns what a scope needs to assign devices to this hub, with default
// weight; the caller adds address and roots.
func (h *Hub) Link() hub.Linked {
	return hub.Linked{
		HostName: h.config.HostName, Kind: hub.KindAzureIoT, ConnectionString: h.ConnectionString(),
		AllocationWeight: 1, ApplyAllocation: true,
	}
}

// Stats returns the counts so far.
func (h *Hub) Stats() Stats {
	return Stats{h.calls.Load(), h.refused.Load(), h.created.Load(), h.deleted.Load()}
}

// Close waits for writes in flight and closes the file. Stop the listener first.
func (h *Hub) Close() error {
	if err := h.store.close(); err != nil {
		return fmt.Errorf("close embedded hub: %w", err)
	}
	return nil
}

// random returns n random bytes.
func (h *Hub) random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(h.config.Rand, b); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	return b, nil
}

// newETag returns a device etag of the form real hubs use: base64 of digits.
func (h *Hub) newETag() (string, error) {
	digits, err := h.digits()
	return base64.StdEncoding.EncodeToString([]byte(digits)), err
}

// digits returns a random number of up to 19 digits.
func (h *Hub) digits() (string, error) {
	b, err := h.random(8)
	if err != nil {
		return "", err
	}
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return strconv.FormatUint(n>>1, 10), nil
}

// trackingID names one request in errors.
func (h *Hub) trackingID() string {
	b, err := h.random(16)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(b)
}
