package adminapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/management/managementtest"
)

// listener is a server with a stream of events that is open, and whoever reads it.
type listener struct {
	*managementtest.World

	t     *testing.T
	admin *client.Admin
}

func newListener(t *testing.T) *listener {
	t.Helper()
	w := managementtest.Start(t)
	s := httptest.NewServer(w.Admin)
	t.Cleanup(s.Close)
	l := &listener{World: w, t: t, admin: &client.Admin{URL: s.URL, Token: w.AdminToken, HTTP: s.Client()}}
	must(t, w, 200, call{"PATCH", world, `{"events":{"keep":true}}`, nil})
	return l
}

// happen makes an event of each device.
func (l *listener) happen(ids ...string) {
	l.t.Helper()
	for _, id := range ids {
		l.Refuse(l.t, dps.RegistrationID(id), "x")
	}
}

// subject reads the device of a line.
func subject(t *testing.T, line []byte) string {
	t.Helper()
	var e struct{ Subject, Type string }
	if err := json.Unmarshal(line, &e); err != nil {
		t.Errorf("line %q: %v", line, err)
	}
	return e.Subject
}

// read reads what there is.
func (l *listener) read(o client.EventOptions) []string {
	l.t.Helper()
	got := []string{}
	err := l.admin.Events(l.t.Context(), string(managementtest.Scope), &o, func(line []byte) error {
		got = append(got, subject(l.t, line))
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return got
}

func TestEventStream(t *testing.T) {
	t.Parallel()
	l := newListener(t)
	l.happen("a", "b", "C")
	for _, tt := range []struct {
		name string
		o    client.EventOptions
		want []string
	}{
		{"all", client.EventOptions{}, []string{"a", "b", "C"}},
		{"of a device, whatever its spelling", client.EventOptions{Registration: "c"}, []string{"C"}},
		{"of a kind", client.EventOptions{Kinds: []string{"failed", "refused"}}, []string{"a", "b", "C"}},
		{"of another kind", client.EventOptions{Kinds: []string{"failed"}}, []string{}},
		{"from now on", client.EventOptions{After: "now"}, []string{}},
	} {
		if diff := cmp.Diff(tt.want, l.read(tt.o)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// errEnough ends a stream from the reader's side.
var errEnough = errors.New("enough")

// TestEventStreamGoesOn: a reader who comes and goes misses nothing and reads nothing twice.
func TestEventStreamGoesOn(t *testing.T) {
	t.Parallel()
	l := newListener(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var got, want []string
	l.happen("before")
	o := client.EventOptions{}
	if err := l.admin.Events(ctx, string(managementtest.Scope), &o, func([]byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	o.Follow = true
	for n := range 6 {
		want = append(want, fmt.Sprint("dev-", 2*n), fmt.Sprint("dev-", 2*n+1))
		go l.happen(want[2*n:]...)
		enough := len(want) - n%2 // every other connection leaves one behind
		err := l.admin.Events(ctx, string(managementtest.Scope), &o, func(line []byte) error {
			if got = append(got, subject(t, line)); len(got) < enough {
				return nil
			}
			o.After = cursorOf(t, line)
			return errEnough
		})
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want[:len(got)], got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

func cursorOf(t *testing.T, line []byte) string {
	t.Helper()
	var e struct{ Cursor string }
	if err := json.Unmarshal(line, &e); err != nil {
		t.Error(err)
	}
	return e.Cursor
}

// TestEventStreamEndsWithTheServer: who follows is let go when the server shuts down.
func TestEventStreamEndsWithTheServer(t *testing.T) {
	t.Parallel()
	l := newListener(t)
	l.happen("a")
	err := l.admin.Events(t.Context(), string(managementtest.Scope), &client.EventOptions{Follow: true}, func([]byte) error {
		l.Feed.Release()
		return nil
	})
	if err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestEventStreamRefusals(t *testing.T) {
	t.Parallel()
	l := newListener(t)
	l.happen("a")
	for query, field := range map[string]string{
		"after=x": "after", "after=00112233aabbccdd-1": "after", "kind=nothing": "kind", "follow=maybe": "follow",
	} {
		a := do(t, l.World, call{"GET", world + "/events?" + query, "", nil})
		if info, _ := a.object(t)["info"].(map[string]any); a.status != 400 || info["field"] != field {
			t.Errorf("%s: %d %s", query, a.status, a.text)
		}
	}
	must(t, l.World, 404, call{"GET", scopes + "/0neNO/events", "", nil})
}

// TestFollowersAreBounded: each holds a connection.
func TestFollowersAreBounded(t *testing.T) {
	t.Parallel()
	l := newListener(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for n := 0; ; n++ {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.admin.URL+world+"/events?follow=true", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+l.AdminToken)
		resp, err := l.admin.HTTP.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode == http.StatusTooManyRequests && n == 64 {
			return
		}
		if resp.StatusCode != http.StatusOK || n > 64 {
			t.Fatalf("the %dth is answered %d", n+1, resp.StatusCode)
		}
	}
}

func TestHooks(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	const path = world + "/hooks/ERP"
	star := map[string]string{"If-None-Match": "*"}
	made := must(t, w, 200, call{"PUT", path, `{"url":"https://erp.example/in?code=hush","secret":"0123456789abcdef","kinds":["failed"]}`, star})
	if made["name"] != "ERP" || made["url"] != "https://erp.example/in?****" || made["signatures"] != 1.0 || made["paused"] != false {
		t.Errorf("made %v", made)
	}
	if events, _ := must(t, w, 200, call{"GET", world, "", nil})["events"].(map[string]any); events["keep"] != true {
		t.Errorf("the scope keeps events: %v", events)
	}
	for _, tt := range []struct {
		name   string
		call   call
		status int
		code   string
	}{
		{"again", call{"PUT", world + "/hooks/erp", `{}`, star}, 409, "alreadyExists"},
		{"stale", call{"PUT", path, `{}`, map[string]string{"If-Match": `"other"`}}, 412, "preconditionFailed"},
		{"without URL", call{"PUT", world + "/hooks/other", `{}`, nil}, 400, "invalidArgument"},
		{"kind", call{"PUT", path, `{"kinds":["all"]}`, nil}, 400, "invalidArgument"},
		{"short secret", call{"PUT", path, `{"secret":"short"}`, nil}, 400, "invalidArgument"},
		{"name", call{"PUT", world + "/hooks/a%20b", `{"url":"https://erp.example"}`, nil}, 400, "invalidArgument"},
		{"unknown", call{"GET", world + "/hooks/none", "", nil}, 404, "notFound"},
		{"unknown to pause", call{"POST", world + "/hooks/none/pause", "", nil}, 404, "notFound"},
		{"unknown to delete", call{"DELETE", world + "/hooks/none", "", nil}, 404, "notFound"},
	} {
		if a := do(t, w, tt.call); a.status != tt.status || a.object(t)["code"] != tt.code {
			t.Errorf("%s: %d %s", tt.name, a.status, a.text)
		}
	}
	rolled := must(t, w, 200, call{"PUT", path, `{"url":"https://erp.example/in?****","secret":"fedcba9876543210"}`, nil})
	if rolled["signatures"] != 2.0 {
		t.Errorf("a new secret signs beside the one before: %v", rolled)
	}
	list, err := w.Store.Events().Hooks(t.Context(), managementtest.Scope)
	if err != nil || list[0].URL != "https://erp.example/in?code=hush" || list[0].Previous.Reveal() != "0123456789abcdef" {
		t.Errorf("stored %+v, %v", list, err)
	}
	if off := must(t, w, 200, call{"PUT", path, `{"secret":""}`, nil}); off["signatures"] != 0.0 {
		t.Errorf("nothing is signed without a secret: %v", off)
	}
	if p := must(t, w, 200, call{"POST", path + "/pause", "", nil}); p["paused"] != true {
		t.Errorf("paused: %v", p)
	}
	if p := must(t, w, 200, call{"POST", path + "/resume", "", nil}); p["paused"] != false {
		t.Errorf("resumed: %v", p)
	}
	if p := must(t, w, 200, call{"POST", path + "/test", "", nil}); p["delivered"] != true {
		t.Errorf("tested: %v", p)
	}
	for _, read := range []string{path, world + "/hooks", world + "/audit"} {
		if a := do(t, w, call{"GET", read, "", nil}); a.status != 200 || strings.Contains(a.text, "0123456789") || strings.Contains(a.text, "hush") {
			t.Errorf("%s tells secrets: %d %s", read, a.status, a.text)
		}
	}
	must(t, w, 204, call{"DELETE", path, "", nil})
}
