package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/allocation/latency/geoip"
	"github.com/zerotouch-dps/dps/allocation/webhook"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/attestation/revocation"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/acceptor"
	"github.com/zerotouch-dps/dps/endpoint/rest"
	"github.com/zerotouch-dps/dps/endpoint/websocket"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/event/delivery"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/adminapi"
	"github.com/zerotouch-dps/dps/management/identity"
	"github.com/zerotouch-dps/dps/management/serviceapi"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/docs"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage"
)

// Env is what a server takes from its process.
type Env struct {
	Log  *zap.Logger
	Now  func() time.Time
	Rand io.Reader
	// Version is told to operators.
	Version string
}

// Server is a wired server. New opens everything, Run serves, and after Run everything
// is closed.
type Server struct {
	config      Config
	env         Env
	store       storage.Store
	management  *management.Service
	registrar   *registration.Registrar
	revocations *revocation.Checker
	feed        *event.Feed
	deliverer   *delivery.Deliverer
	latency     *latency.Estimator
	geoip       *geoip.Databases // nil: none are configured
	tls         *tlsFiles
	metrics     *metrics
	health      *health
	identify    *identity.Identifier
	roots       *clientRoots // nil: no client certificates are taken
	device      net.Listener
	admin       net.Listener
	// acceptor holds the connections of all device listeners.
	acceptor     *acceptor.Acceptor
	proxies      acceptor.Proxies
	doors        []door
	conversation *endpoint.Conversation
	// public and operators are what the listeners serve.
	public, operators http.Handler
	// AdminToken is set when this start made it.
	AdminToken string
}

// New opens the store, binds the listeners and wires the rest; nothing is served yet.
func New(ctx context.Context, c Config, env Env) (s *Server, err error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	ring, err := readKeyring(c.Keyring)
	if err != nil {
		return nil, err
	}
	proxies, err := c.Device.proxies()
	if err != nil {
		return nil, err
	}
	s = &Server{config: c, env: env, metrics: newMetrics(), proxies: proxies}
	s.acceptor = acceptor.New(acceptor.Config{Limits: c.Device.Connections.limits(), Proxies: proxies, Log: env.Log})
	s.metrics.watch(s.acceptor)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeAll())
			s = nil
		}
	}()
	if s.store, err = openStore(ctx, c, ring, env); err != nil {
		return s, err
	}
	if s.tls, err = newTLS(c, ring, env.Now, env.Log); err != nil {
		return s, err
	}
	if err = s.wire(ring); err != nil {
		return s, err
	}
	if err = s.listen(ctx); err != nil {
		return s, err
	}
	// Last of all, since the token is told only once.
	return s, s.ensureAdminToken(ctx)
}

func readKeyring(path string) (*keyring.Ring, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf(`keyring %s does not exist; make it with "dps keys init --keyring %s" and keep a copy: without it sealed secrets are lost`, path, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read keyring: %w", err)
	}
	return keyring.Parse(text)
}

// wire connects the parts; it starts nothing.
func (s *Server) wire(ring *keyring.Ring) error {
	continuations, err := management.NewContinuations(ring)
	if err != nil {
		return fmt.Errorf("derive keys: %w", err)
	}
	c, env := s.config, s.env
	verifier, err := newVerifier(ring, env)
	if err != nil {
		return fmt.Errorf("derive keys: %w", err)
	}
	s.revocations = revocation.New(revocation.Config{Now: env.Now, Log: env.Log, Refresh: c.Revocation.Refresh, Wait: c.Revocation.Wait})
	verifier.Revocations = s.revocations
	s.wireEvents()
	s.wireLatency()
	settings := c.Assign.settings()
	s.registrar = registration.New(registration.Deps{
		Store: s.store.Registrations(), Scopes: s.store.Scopes(), Entries: s.store.Enrollments(),
		Resolver: enrollment.NewResolver(verifier),
		OpenGate: func(l hub.Linked) (*hub.Gate, error) { return openGate(l, c.Assign, env) },
		Webhooks: wire.Webhooks{Caller: s.metrics.timed(webhook.New(env.Now).Ask, env.Now)}, Latency: s.latency,
		Observer: s.metrics, Told: s.feed.Wake, Log: env.Log, Now: env.Now, Rand: env.Rand, Settings: settings,
	})
	s.management = management.New(management.Deps{
		Enrollments: s.store.Enrollments(), Bulk: s.store.Bulk(), Registrations: s.store.Registrations(), Scopes: s.store.Scopes(),
		Deployment: s.store.Deployment(), Latencies: s.store.Latencies(), Continuations: continuations, Now: env.Now, Rand: env.Rand, HubKinds: hubKinds(),
		Devices: s.registrar, Backups: s.store, Events: s.store.Events(), Feed: s.feed, TestHook: s.testHook,
		Replica: management.Replica{Version: env.Version, Started: env.Now(), Certificates: s.tls.expiring, Revocations: s.revocations.State, GeoIP: s.geoFiles},
		Probe:   func(ctx context.Context, l hub.Linked) (hub.Probe, error) { return probe(ctx, l, env) },
	})
	s.conversation = &endpoint.Conversation{Registrar: s.registrar, Observer: s.metrics, Log: env.Log, Now: env.Now, Rand: env.Rand}
	s.health = &health{store: s.store}
	if err := s.wireAccess(); err != nil {
		return err
	}
	if s.public, err = s.newPublic(); err != nil {
		return err
	}
	s.operators, err = s.newOperators()
	return err
}

// newVerifier makes what judges devices. What TPMs are given derives from the keyring.
func newVerifier(ring *keyring.Ring, env Env) (*attestation.Verifier, error) {
	secrets, err := ring.DeriveAll("tpm-challenge", sha256.Size)
	if err != nil {
		return nil, err
	}
	v := attestation.NewVerifier(env.Now)
	v.Challenger = attestation.NewChallenger(secrets, env.Rand)
	return v, nil
}

// wireAccess makes what proves callers whom the store does not know.
func (s *Server) wireAccess() error {
	providers, err := s.config.Access.providers()
	if err != nil {
		return err
	}
	clients := s.config.Access.ClientCertificates
	certificates, err := clients.certificates()
	if err != nil {
		return err
	}
	if certificates != nil {
		s.roots = watchClientRoots(clients.Authorities, certificates, s.env.Log)
		s.tls.askForCertificates()
	}
	s.identify = identity.New(identity.Config{Providers: providers, Certificates: certificates, Now: s.env.Now})
	return nil
}

func (s *Server) listen(ctx context.Context) (err error) {
	var lc net.ListenConfig
	if s.device, err = lc.Listen(ctx, "tcp", s.config.Device.Address); err != nil {
		return fmt.Errorf("device listener: %w", err)
	}
	if s.admin, err = lc.Listen(ctx, "tcp", s.config.Admin.Address); err != nil {
		return fmt.Errorf("admin listener: %w", err)
	}
	return s.openDoors(ctx)
}

// Store is the open store, for those who prepare a deployment before Run.
func (s *Server) Store() storage.Store { return s.store }

// Management is the use cases, for those who prepare a deployment before Run.
func (s *Server) Management() *management.Service { return s.management }

// DeviceAddr and AdminAddr are where the listeners are bound.
func (s *Server) DeviceAddr() net.Addr { return s.device.Addr() }

// AdminAddr is where the operator's listener is bound.
func (s *Server) AdminAddr() net.Addr { return s.admin.Addr() }

// Run serves until ctx ends, then drains: it stops taking connections, lets requests
// and assignments in flight finish within Config.Drain, and closes the store.
func (s *Server) Run(ctx context.Context) error {
	defer tuneHeap(os.Getenv)()
	device := newHTTPServer(s.public, nil, s.env.Log)
	admin := newHTTPServer(s.operators, s.tls.adminConfig, s.env.Log)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var workers errgroup.Group
	workers.Go(func() error { return s.registrar.Run(serving) })
	workers.Go(func() error { return s.revocations.Run(serving) })
	workers.Go(func() error { return s.tls.run(serving) })
	s.runLatency(serving, &workers)
	workers.Go(func() error { return s.management.RunRetention(serving, s.env.Log) })
	workers.Go(func() error { return s.feed.Run(serving) })
	workers.Go(func() error { return s.deliverer.Run(serving) })
	if s.roots != nil {
		workers.Go(func() error { return s.roots.run(serving) })
	}
	listeners, failed := s.serve(device, admin)
	select {
	case <-ctx.Done():
	case <-failed:
	}
	s.health.drain()
	s.feed.Release()
	err := s.shutdown(device, admin)
	err = errors.Join(err, listeners.Wait())
	stop()
	return errors.Join(err, workers.Wait(), s.store.Close())
}

// serve starts all listeners; failed says when one has ended.
func (s *Server) serve(device, admin *http.Server) (listeners *errgroup.Group, failed <-chan struct{}) {
	https := s.acceptor.Listen(s.device, s.tls.deviceConfig, "https")
	serving := []func() error{
		https.Run,
		func() error { return ignoreClosed(device.Serve(https)) },
		func() error { return ignoreClosed(admin.ServeTLS(s.admin, "", "")) },
	}
	for _, d := range s.doors {
		serving = append(serving, func() error { return s.acceptor.Serve(d.listener, s.tls.streamConfig, d.transport, d.serve) })
	}
	listeners, ended := &errgroup.Group{}, make(chan struct{}, len(serving))
	for _, one := range serving {
		listeners.Go(func() error {
			defer func() { ended <- struct{}{} }()
			return one()
		})
	}
	return listeners, ended
}

// shutdown ends the connections of all transports, in Config.Drain at most.
func (s *Server) shutdown(servers ...*http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Drain)
	defer cancel()
	var g errgroup.Group
	for _, one := range servers {
		g.Go(func() error {
			if err := one.Shutdown(ctx); err != nil {
				return one.Close()
			}
			return nil
		})
	}
	return errors.Join(s.acceptor.Shutdown(ctx), g.Wait())
}

// ignoreClosed drops the error of a server whose listener was closed: why, its closer tells.
func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// closeAll undoes a New that failed half-way.
func (s *Server) closeAll() error {
	var errs []error
	for _, l := range []net.Listener{s.device, s.admin} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	for _, d := range s.doors {
		errs = append(errs, d.listener.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// newPublic is what devices and manufacturers reach, told apart by the first segment of
// the path: no ID scope may be named like a collection of the service API.
func (s *Server) newPublic() (http.Handler, error) {
	device := rest.New(s.conversation)
	sockets := websocket.New(websocket.Config{Protocols: protocols(s.conversation), Taker: s.acceptor, Now: s.env.Now, Rand: s.env.Rand})
	service, err := serviceapi.New(serviceapi.Config{Management: s.management, Scopes: s.store.Scopes(), Identify: s.identify, Log: s.env.Log, Now: s.env.Now, Rand: s.env.Rand})
	if err != nil {
		return nil, err
	}
	return behindProxies(s.proxies.Trusted, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case websocket.Serves(r):
			sockets.ServeHTTP(w, r)
		case serviceapi.Serves(r):
			service.ServeHTTP(w, r)
		case r.URL.Path == "/healthz" || r.URL.Path == "/readyz":
			s.health.ServeHTTP(w, r)
		default:
			device.ServeHTTP(w, r)
		}
	})), nil
}

// newOperators is what stands on the operator's listener.
func (s *Server) newOperators() (http.Handler, error) {
	admin, err := adminapi.New(adminapi.Config{Management: s.management, Identify: s.identify, Log: s.env.Log, Now: s.env.Now, Rand: s.env.Rand})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/admin/", admin)
	pages := docs.New()
	mux.Handle("/docs", pages)
	mux.Handle("/docs/", pages)
	mux.Handle("/healthz", s.health)
	mux.Handle("/readyz", s.health)
	mux.Handle("/metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	return mux, nil
}
