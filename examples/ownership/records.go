package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// errUnsold tells that nobody has bought a device yet.
var errUnsold = errors.New("nobody has bought this device")

// records are the maker's files. They are read again when they have changed, so that a
// sale counts from the device's next registration on.
type records struct {
	sales, customers string

	mu       sync.Mutex
	read     [2]time.Time // when the files were changed that were read
	owners   map[string]string
	hubs     map[string]string
	problems error
}

// owner is a customer and the customer's hub.
type owner struct{ Customer, Hub string }

// hubOf returns the owner of a serial number. Errors: errUnsold, or what is wrong with the
// files.
func (r *records) hubOf(serial string) (owner, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(); err != nil {
		return owner{}, err
	}
	customer, sold := r.owners[strings.ToLower(serial)]
	if !sold {
		return owner{}, errUnsold
	}
	hub, known := r.hubs[customer]
	if !known {
		return owner{}, fmt.Errorf("customer %q has no hub", customer)
	}
	return owner{customer, hub}, nil
}

func (r *records) refresh() error {
	var changed [2]time.Time
	for i, path := range []string{r.sales, r.customers} {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("look at records: %w", err)
		}
		changed[i] = info.ModTime()
	}
	if changed == r.read {
		return r.problems
	}
	r.read = changed
	if r.owners, r.problems = pairs(r.sales, strings.ToLower); r.problems != nil {
		return r.problems
	}
	r.hubs, r.problems = pairs(r.customers, strings.TrimSpace)
	return r.problems
}

// pairs reads a CSV of two columns under a heading; of lines with the same first column
// the last counts.
func pairs(path string, fold func(string) string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	defer func() { _ = f.Close() }()
	reader := csv.NewReader(f)
	reader.FieldsPerRecord, reader.TrimLeadingSpace = 2, true
	rows, err := reader.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	out := make(map[string]string, len(rows))
	for i, row := range rows {
		if i > 0 {
			out[fold(strings.TrimSpace(row[0]))] = strings.TrimSpace(row[1])
		}
	}
	return out, nil
}
