package lot

import (
	"encoding/csv"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/zerotouch-dps/dps"
)

// table decodes the rows of one CSV file. One goroutine uses it at a time.
type table struct {
	columns []column
	comma   rune
	feed    feed
	reader  *csv.Reader
}

// feed gives the reader one row at a time; what follows it is not the end of a file.
type feed struct{ text []byte }

// Read implements [io.Reader].
func (f *feed) Read(p []byte) (int, error) {
	if len(f.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.text)
	f.text = f.text[n:]
	return n, nil
}

// newTable reads the header. Errors: [dps.InvalidArgument].
func newTable(f Format) (*table, error) {
	t := &table{comma: rune(f.comma())}
	seen := map[string]bool{}
	for _, header := range f.Header {
		name := header
		if ours, mapped := f.Columns[fold(header)]; mapped {
			name = ours
		}
		if fold(name) == "" { // as spreadsheets write what has no use
			t.columns = append(t.columns, unnamed(len(t.columns)+1))
			continue
		}
		c, err := columnOf(name)
		if err != nil {
			err.Message += f.otherComma()
			err.Info["value"] = header
			return nil, err
		}
		if name != Ignore && seen[fold(name)] {
			return nil, dps.Invalid("header", "unique", "names the column "+strconv.Quote(name)+" twice")
		}
		seen[fold(name)] = true
		t.columns = append(t.columns, c)
	}
	if !seen["registrationid"] {
		return nil, dps.Invalid("header", "registrationId", "has no column registrationId; say with columns=HEADER=registrationId which it is")
	}
	t.renew()
	return t, nil
}

func (t *table) renew() {
	t.reader = csv.NewReader(&t.feed)
	t.reader.Comma, t.reader.FieldsPerRecord, t.reader.ReuseRecord = t.comma, -1, true
}

// decode is the decodeFunc of CSV.
func (t *table) decode(text []byte) (model, error) {
	var m model
	if !utf8.Valid(text) {
		return m, dps.Invalid("row", "utf8", "is not UTF-8 text")
	}
	t.feed.text = append(slices.Clip(text), '\n')
	fields, err := t.reader.Read()
	if err != nil {
		t.renew() // what was left of the row is not the next one
		return m, dps.Invalid("row", "csv", "is not CSV: "+err.Error())
	}
	if len(fields) != len(t.columns) {
		return m, dps.Invalid("row", "fields", "has "+strconv.Itoa(len(fields))+" fields; the header has "+strconv.Itoa(len(t.columns)))
	}
	var c cells
	for i, field := range fields {
		if field == "" {
			continue
		}
		if err := t.columns[i](&c, field); err != nil {
			return c.model, err
		}
	}
	return c.finish()
}
