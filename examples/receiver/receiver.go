package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxAge is how old a request may be: who has recorded one can't send it for ever.
	maxAge  = 5 * time.Minute
	maxBody = 64 << 10 // bytes
)

// receiver keeps what it is told, once.
type receiver struct {
	secrets []string // any of them may have signed: two while one is replaced
	path    string
	now     func() time.Time

	mu   sync.Mutex
	seen map[string]bool // IDs of events
}

// recall reads which events are in the file.
func (r *receiver) recall() error {
	r.seen = map[string]bool{}
	f, err := os.Open(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if id, err := idOf(lines.Bytes()); err == nil {
			r.seen[id] = true
		}
	}
	return lines.Err()
}

func idOf(text []byte) (string, error) {
	var e struct{ ID string }
	err := json.Unmarshal(text, &e)
	return e.ID, err
}

// ServeHTTP takes one event.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxBody))
	if err != nil {
		http.Error(w, "the body can't be read", http.StatusBadRequest)
		return
	}
	if !r.genuine(q.Header.Get("Dps-Signature"), body) {
		http.Error(w, "the signature is not good", http.StatusUnauthorized)
		return
	}
	if err := r.keep(body); err != nil {
		http.Error(w, "try again", http.StatusServiceUnavailable) // and dps does
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// genuine verifies "t=1777863721,v1=5257…,v1=…".
func (r *receiver) genuine(header string, body []byte) bool {
	var at string
	var signatures []string
	for part := range strings.SplitSeq(header, ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "t":
			at = value
		case "v1":
			signatures = append(signatures, value)
		}
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if age := r.now().Sub(time.Unix(seconds, 0)); err != nil || age > maxAge || age < -maxAge {
		return false
	}
	for _, secret := range r.secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(at + "."))
		mac.Write(body)
		want := hex.EncodeToString(mac.Sum(nil))
		for _, got := range signatures {
			if hmac.Equal([]byte(want), []byte(got)) {
				return true
			}
		}
	}
	return false
}

// keep appends an event, unless it was told before.
func (r *receiver) keep(body []byte) error {
	id, err := idOf(body)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[id] {
		return nil
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(body, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		r.seen[id] = true
	}
	return err
}
