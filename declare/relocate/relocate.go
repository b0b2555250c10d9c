package relocate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/declare"
)

const (
	pageSize = 100 // the original's bound
	// maxPatience bounds how long a call waits for a service that throttles: the original
	// counts by the minute.
	maxPatience  = 15 * time.Minute
	firstPause   = time.Second
	longestPause = time.Minute
)

// Move is a move of enrollments. Only From, To and Scope are needed.
type Move struct {
	From   *client.Service
	To     *client.Admin
	Scope  string // of the new service
	Lot    string // marks the individual enrollments that are moved
	DryRun bool   // read all, validate, and write nothing
	// Certificates by SHA-256 thumbprint, upper-case hex: texts of those that From tells
	// only the thumbprints of, as the original does.
	Certificates map[string]string
	// SkipExisting leaves alone what the new service has under the same ID, unread, so that
	// a move that was cut off goes on fast.
	SkipExisting bool
	// Left is told of each entry that was not moved; it may be nil.
	Left func(Left)
	// Progress is told how far the move got; it may be nil.
	Progress func(Result)
	// Wait pauses between tries; nil: by the clock.
	Wait func(context.Context, time.Duration) error
}

// Left is an entry that was not moved.
type Left struct {
	Kind   declare.Kind `json:"kind"`
	ID     string       `json:"id"`
	Reason string       `json:"reason"`
}

// Count is what became of the entries of a kind.
type Count struct {
	Read      int64 `json:"read"`
	Created   int64 `json:"created"`
	Replaced  int64 `json:"replaced"`
	Unchanged int64 `json:"unchanged"`
	Left      int64 `json:"left"`
}

// Result is what became of all.
type Result struct {
	Groups      Count `json:"enrollmentGroups"`
	Enrollments Count `json:"enrollments"`
}

// Run moves groups first, then individual enrollments. The result counts what was done,
// whatever the error. Errors: [*client.Error] of either service, or what the connection
// says.
func (m Move) Run(ctx context.Context) (Result, error) {
	r := &run{Move: m}
	if r.Wait == nil {
		r.Wait = wait
	}
	if _, err := r.To.Scope(ctx, r.Scope); err != nil {
		return r.result, fmt.Errorf("look for ID scope %s: %w", r.Scope, err)
	}
	if err := r.groups(ctx); err != nil {
		return r.result, fmt.Errorf("move enrollment groups: %w", err)
	}
	if err := r.enrollments(ctx); err != nil {
		return r.result, fmt.Errorf("move enrollments: %w", err)
	}
	return r.result, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is one call of Run.
type run struct {
	Move

	result Result
}

func (r *run) left(kind declare.Kind, id, reason string) {
	to := &r.result.Enrollments
	if kind == declare.KindGroup {
		to = &r.result.Groups
	}
	to.Left++
	if r.Left != nil {
		r.Left(Left{kind, id, reason})
	}
}

func (r *run) progress() {
	if r.Progress != nil {
		r.Progress(r.result)
	}
}

// patiently repeats a call to the original while that throttles or is away for a moment.
func (r *run) patiently(ctx context.Context, call func() error) error {
	pause, waited := firstPause, time.Duration(0)
	for {
		err := call()
		refused, ok := errors.AsType[*client.Error](err)
		if !ok || refused.Status != http.StatusTooManyRequests && refused.Status < http.StatusInternalServerError || waited >= maxPatience {
			return err
		}
		next := max(pause, refused.RetryAfter)
		if err := r.Wait(ctx, next); err != nil {
			return err
		}
		waited, pause = waited+next, min(2*pause, longestPause)
	}
}

// pages hands on all pages of a list.
func pages[T any](ctx context.Context, r *run, list func(client.Page) ([]T, string, error), take func([]T) error) error {
	page := client.Page{Size: pageSize}
	for {
		var items []T
		var next string
		err := r.patiently(ctx, func() (err error) {
			items, next, err = list(page)
			return err
		})
		if err != nil {
			return err
		}
		if err := take(items); err != nil {
			return err
		}
		r.progress()
		if next == "" {
			return nil
		}
		page.Continuation = next
	}
}
