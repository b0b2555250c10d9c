package webhook

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/outcall"
	"github.com/zerotouch-dps/dps/scope"
)

// Bounds of one webhook host of a scope.
const (
	maxCalls   = 32  // at a time
	maxWaiting = 256 // callers who wait for their turn; the others come back later
	// maxWait bounds that wait, so that a slow webhook holds few who could work elsewhere.
	maxWait = 5 * time.Second
	// comeBack is when to come again who was sent away.
	comeBack = 2 * time.Second
)

// maxLines bounds the hosts that are remembered.
const maxLines = 1024

// line is the way to one host: what is said about it does not change.
type line struct {
	client   *http.Client
	policies failsafe.Executor[*reply]
	slots    chan struct{}
	waiting  atomic.Int64
}

// enter waits for a turn. Errors: [dps.Throttled].
func (l *line) enter(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	default:
	}
	defer l.waiting.Add(-1)
	if l.waiting.Add(1) > maxWaiting {
		return busy()
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return busy()
}

func (l *line) leave() { <-l.slots }

func busy() error {
	return &dps.Error{Code: dps.Throttled, Message: "the webhook has many devices waiting", RetryAfter: comeBack}
}

// lines keeps one line per scope, host and version of what is said about it.
type lines struct {
	mu   sync.Mutex
	kept *lru.Cache[string, *line]
}

func newLines() *lines {
	kept, err := lru.NewWithEvict(maxLines, func(_ string, l *line) { l.client.CloseIdleConnections() })
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &lines{kept: kept}
}

func (s *lines) get(id dps.IDScope, w scope.Webhook) (*line, error) {
	key := id.Fold() + "/" + w.Host + "/" + string(w.ETag)
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.kept.Get(key); ok {
		return l, nil
	}
	client, err := outcall.NewClient(outcall.Options{TrustedCAs: w.TrustedCAs, Certificate: w.Certificate, Key: w.Key, MaxIdle: maxCalls})
	if err != nil {
		return nil, err
	}
	l := &line{client: client, policies: newPolicies(), slots: make(chan struct{}, maxCalls)}
	s.kept.Add(key, l)
	return l, nil
}
