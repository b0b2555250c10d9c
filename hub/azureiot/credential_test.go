package azureiot_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/azureiot"
	"github.com/zerotouch-dps/dps/hub/hubtest"
)

func connection(key dps.Secret) dps.Secret {
	return dps.NewSecret("HostName=" + hostName + ";SharedAccessKeyName=owner;SharedAccessKey=" + key.Reveal())
}

func keyOf(key dps.Secret) []byte {
	c, err := hub.ParseConnectionString(connection(key))
	if err != nil {
		panic(err)
	}
	return c.Key()
}

// keyed is a hub that takes one key, which may be rolled.
type keyed struct {
	mu    sync.Mutex
	good  dps.Secret
	calls int
}

func (k *keyed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	token, err := attestation.ParseSASToken(r.Header.Get("Authorization"))
	if err != nil || !token.SignedBy(keyOf(k.good)) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (k *keyed) roll(to dps.Secret) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.good, k.calls = to, 0
}

// A hub's key can be rolled at any moment while a link has both, in either direction,
// and the key that works is the one that is tried first from then on.
func TestTwoCredentials(t *testing.T) {
	t.Parallel()
	former, next, third := hubtest.Key(1), hubtest.Key(2), hubtest.Key(3)
	k := &keyed{good: former}
	server := httptest.NewTLSServer(k)
	t.Cleanup(server.Close)
	link := linkTo(server)
	link.ConnectionString, link.NextConnectionString = connection(former), connection(next)
	r, err := azureiot.New(azureiot.Config{Link: link, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name  string
		key   dps.Secret
		calls []int // of each delete
		code  dps.Code
	}{
		{"before the roll", former, []int{1, 1}, 0},
		{"after", next, []int{2, 1}, 0},
		{"taken back", former, []int{2, 1}, 0},
		{"neither", third, []int{2, 2}, dps.HubUnauthorized},
		{"after an outage", next, []int{2, 1}, 0},
	} {
		k.roll(step.key)
		for i, want := range step.calls {
			before := k.calls
			err := r.Delete(t.Context(), "a", "e")
			if (err != nil) != (step.code != 0) || err != nil && !dps.Is(err, step.code) {
				t.Errorf("%s, call %d: %v", step.name, i, err)
			}
			if got := k.calls - before; got != want {
				t.Errorf("%s, call %d: asked %d times, want %d", step.name, i, got, want)
			}
		}
	}
}

func TestOneCredentialIsTriedOnce(t *testing.T) {
	t.Parallel()
	k := &keyed{good: hubtest.Key(2)}
	server := httptest.NewTLSServer(k)
	t.Cleanup(server.Close)
	link := linkTo(server)
	link.ConnectionString = connection(hubtest.Key(1))
	r, err := azureiot.New(azureiot.Config{Link: link, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Delete(t.Context(), "a", "e"); !dps.Is(err, dps.HubUnauthorized) || k.calls != 1 {
		t.Errorf("%v after %d calls", err, k.calls)
	}
}
