package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
)

// listFlags say in which order a list comes and how much of it.
type listFlags struct {
	IDPrefix     string `name:"id-prefix" placeholder:"TEXT" help:"Only IDs that begin so, in any letter case."`
	CreatedFrom  string `placeholder:"TIME" help:"Created then or later, such as 2026-01-31T08:00:00Z."`
	CreatedUntil string `placeholder:"TIME" help:"Created before."`
	UpdatedFrom  string `placeholder:"TIME" help:"Changed then or later."`
	UpdatedUntil string `placeholder:"TIME" help:"Last changed before."`
	Sort         string `enum:"id,created,updated" default:"id" help:"id, created or updated."`
	Desc         bool   `help:"The last first."`
	Limit        int    `default:"100" placeholder:"N" help:"List at most so many; 0 lists all."`
	Count        bool   `help:"Count what is found, and list nothing."`
	Export       string `enum:",ndjson,csv" default:"" help:"Write all that is found, however much, as ndjson (whole records) or csv (the table's columns)."`
}

// entryFlags filter enrollments and groups.
type entryFlags struct {
	ProvisioningStatus string `name:"status" enum:",enabled,disabled" default:"" help:"enabled or disabled."`
	Attestation        string `enum:",symmetricKey,x509,tpm" default:"" help:"symmetricKey, x509 or tpm."`
	Lot                string `help:"Only of this lot."`
	Uploader           string `help:"Only of this uploader."`
	Hub                string `placeholder:"HOST" help:"Only those that name this hub."`
	Tag                string `placeholder:"NAME=VALUE" help:"Only those whose initial twin has this tag; dots go into objects."`
	listFlags
}

// query writes the parameters of the operator's API; empty ones are left out.
func (f entryFlags) query() url.Values {
	return f.listFlags.query(map[string]string{
		"provisioningStatus": f.ProvisioningStatus, "attestation": f.Attestation, "lot": f.Lot, "uploader": f.Uploader,
		"hub": f.Hub, "tag": f.Tag,
	})
}

func (f listFlags) query(more map[string]string) url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, value := range more {
		set(name, value)
	}
	set("idPrefix", f.IDPrefix)
	set("createdFrom", f.CreatedFrom)
	set("createdUntil", f.CreatedUntil)
	set("updatedFrom", f.UpdatedFrom)
	set("updatedUntil", f.UpdatedUntil)
	if f.Sort != "id" {
		set("sort", f.Sort)
	}
	if f.Desc {
		q.Set("order", "desc")
	}
	return q
}

// largestPage is the most that the server gives at once.
const largestPage = 1000

// page is one page of a list.
type page[T any] struct {
	items        []T
	continuation *string
	count        *resultCount
}

type resultCount struct {
	Value       int64 `json:"value"`
	Approximate bool  `json:"approximate"`
}

// collect reads page after page, up to the limit; more tells that there is more.
func (f listFlags) collect(q url.Values, read func(url.Values) error, next func() (continuation *string, items int)) (more bool, err error) {
	total := 0
	for {
		size := largestPage
		if f.Limit > 0 {
			size = min(size, f.Limit-total)
		}
		q.Set("limit", strconv.Itoa(size))
		if err := read(q); err != nil {
			return false, err
		}
		continuation, n := next()
		total += n
		if continuation == nil {
			return false, nil
		}
		if f.Limit > 0 && total >= f.Limit {
			return true, nil
		}
		q.Set("continuation", *continuation)
	}
}

// list reads and prints what is found.
func list[T any](env *Env, f listFlags, output string, q url.Values, columns []column[T], read func(url.Values) (page[T], error)) error {
	if f.Count {
		return printCount(env, output, q, read)
	}
	if f.Export != "" {
		return export(env, f, q, columns, read)
	}
	all, last := []T{}, page[T]{}
	more, err := f.collect(q, func(q url.Values) (err error) {
		last, err = read(q)
		all = append(all, last.items...)
		return err
	}, func() (*string, int) { return last.continuation, len(last.items) })
	if err != nil {
		return err
	}
	if more {
		say(env.Stderr, "There are more; --limit 0 lists all.")
	}
	return printList(env, output, all, columns)
}

// export writes page after page, and keeps none.
func export[T any](env *Env, f listFlags, q url.Values, columns []column[T], read func(url.Values) (page[T], error)) error {
	f.Limit = 0
	write, last := rowWriter(env.Stdout, f.Export, columns), page[T]{}
	_, err := f.collect(q, func(q url.Values) (err error) {
		if last, err = read(q); err != nil {
			return err
		}
		return write(last.items)
	}, func() (*string, int) { return last.continuation, len(last.items) })
	return err
}

// rowWriter returns what writes records, a line each; the first call writes the header.
func rowWriter[T any](w io.Writer, format string, columns []column[T]) func([]T) error {
	if format == "ndjson" {
		encoder := json.NewEncoder(w)
		return func(items []T) error {
			for _, one := range items {
				if err := encoder.Encode(one); err != nil {
					return fmt.Errorf("write record: %w", err)
				}
			}
			return nil
		}
	}
	table, header := csv.NewWriter(w), make([]string, len(columns))
	for i, c := range columns {
		header[i] = c.title
	}
	return func(items []T) error {
		rows := make([][]string, 0, len(items)+1)
		if header != nil {
			rows, header = append(rows, header), nil
		}
		for _, one := range items {
			row := make([]string, len(columns))
			for i, c := range columns {
				row[i] = c.cell(one)
			}
			rows = append(rows, row)
		}
		return table.WriteAll(rows)
	}
}

func printCount[T any](env *Env, output string, q url.Values, read func(url.Values) (page[T], error)) error {
	q.Set("count", "true")
	q.Set("limit", "1")
	first, err := read(q)
	if err != nil {
		return err
	}
	if first.count == nil {
		first.count = &resultCount{}
	}
	if output == "json" {
		return printJSON(env, first.count)
	}
	prefix := ""
	if first.count.Approximate {
		prefix = "at least "
	}
	say(env.Stdout, "%s%d", prefix, first.count.Value)
	return nil
}
