package hubemulator_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hubemulator"
)

func TestReopenedHubKeepsDevices(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/made on?demand#1"
	h, err := hubemulator.Open(t.Context(), newConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(h.Handler())
	o := newOperator(t, h, server)
	o.do("PUT", "/devices/a", `{"statusReason":"kept"}`)
	o.do("PATCH", "/twins/a", `{"tags":{"n":12345678901234},"properties":{"desired":{"f":1.10}}}`)
	device, twin := o.do("GET", "/devices/a", "").text, o.do("GET", "/twins/a", "").text
	server.Close()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h2, server2 := serve(t, newConfig(dir))
	o2 := newOperator(t, h2, server2)
	if got := o2.do("GET", "/devices/a", "").text; got != device {
		t.Errorf("device is %s; was %s", got, device)
	}
	if got := o2.do("GET", "/twins/a", "").text; got != twin {
		t.Errorf("twin is %s; was %s", got, twin)
	}
}

func TestHubsInOneProcessAreApart(t *testing.T) {
	t.Parallel()
	for name, dirs := range map[string][2]string{"in memory": {}, "in folders": {t.TempDir(), t.TempDir()}} {
		h1, server1 := serve(t, newConfig(dirs[0]))
		h2, server2 := serve(t, newConfig(dirs[1]))
		newOperator(t, h1, server1).do("PUT", "/devices/a", `{}`)
		if got := newOperator(t, h2, server2).do("GET", "/devices/a", ""); got.status != 404 {
			t.Errorf("%s: the other hub has the device", name)
		}
	}
}

const childDir = "HUBEMULATOR_TEST_DIR"

// TestMain makes devices for ever when it runs as the child of the test below,
// telling each that was acknowledged.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Println(makeForEver(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func makeForEver(dir string) error {
	h, err := hubemulator.Open(context.Background(), newConfig(dir))
	if err != nil {
		return err
	}
	c, err := hub.ParseConnectionString(h.ConnectionString())
	if err != nil {
		return err
	}
	var lines sync.Mutex
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("w%d-%d", worker, n)
				w := httptest.NewRecorder()
				h.Handler().ServeHTTP(w, signed(c, http.MethodPut, "/devices/"+id, "{}"))
				if w.Code != http.StatusOK {
					return
				}
				lines.Lock()
				fmt.Println(id)
				lines.Unlock()
			}
		})
	}
	workers.Wait()
	return fmt.Errorf("a device was refused")
}

func TestKilledProcessLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var made []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		made = append(made, lines.Text())
		if len(made) == 500 {
			_ = child.Process.Kill() // what it still wrote is read below
		}
	}
	_ = child.Wait() // it was killed
	if len(made) < 500 {
		t.Fatalf("only %d devices made: %s", len(made), strings.Join(made, " "))
	}
	h, server := serve(t, newConfig(dir))
	r := dial(t, h, server)
	for _, id := range made {
		if _, err := r.Get(t.Context(), id); err != nil {
			t.Fatalf("acknowledged device %s: %v", id, err)
		}
	}
}

func TestConcurrentCreatesAllArrive(t *testing.T) {
	t.Parallel()
	h, server := serve(t, newConfig(t.TempDir()))
	r := dial(t, h, server)
	var callers sync.WaitGroup
	for caller := range 16 {
		callers.Go(func() {
			for n := range 50 {
				if _, err := r.Put(t.Context(), wantOf(fmt.Sprintf("c%d-%d", caller, n), `{"x":1}`)); err != nil {
					t.Errorf("Put: %v", err)
				}
			}
		})
	}
	callers.Wait()
	if p, err := r.Probe(t.Context()); err != nil || p.Devices != 16*50 {
		t.Errorf("probe %+v, %v; want %d devices", p, err, 16*50)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var next hubemulator.Fault
	config := newConfig("")
	config.Fault = func(*http.Request) hubemulator.Fault {
		mu.Lock()
		defer mu.Unlock()
		f := next
		next = hubemulator.Fault{}
		return f
	}
	h, server := serve(t, config)
	r := dial(t, h, server)
	for name, tt := range map[string]struct {
		fault hubemulator.Fault
		made  bool
	}{
		"throttles":       {hubemulator.Fault{Status: 429, RetryAfter: 3 * time.Second}, false},
		"fails":           {hubemulator.Fault{Status: 503}, false},
		"loses an answer": {hubemulator.Fault{Lose: true}, true},
	} {
		mu.Lock()
		next = tt.fault
		mu.Unlock()
		id := strings.ReplaceAll(name, " ", "-")
		before := h.Stats().Created
		placed, err := r.Put(t.Context(), wantOf(id, ""))
		if err != nil && dps.CodeOf(err) != dps.HubUnavailable {
			t.Errorf("%s: %v", name, err)
		}
		if made := h.Stats().Created > before; made != tt.made {
			t.Errorf("%s: made %v; want %v", name, made, tt.made)
		}
		// Whatever happened, trying again ends with one device.
		if again, err := r.Put(t.Context(), wantOf(id, "")); err != nil || again.Created == tt.made {
			t.Errorf("%s: then %+v, %v (first %+v)", name, again, err, placed)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*hubemulator.Config){
		"no clock":        func(c *hubemulator.Config) { c.Now = nil },
		"no key":          func(c *hubemulator.Config) { c.SharedAccessKey = dps.Secret{} },
		"no base64":       func(c *hubemulator.Config) { c.SharedAccessKey = dps.NewSecret("?") },
		"nameless policy": func(c *hubemulator.Config) { c.Policies = []hubemulator.Policy{{Key: c.SharedAccessKey}} },
		"a file":          func(c *hubemulator.Config) { c.Dir = os.Args[0] },
	} {
		config := newConfig("")
		change(&config)
		if h, err := hubemulator.Open(t.Context(), config); err == nil {
			t.Errorf("%s: opened", name)
			_ = h.Close()
		}
	}
}
