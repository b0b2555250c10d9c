package lot

import (
	"encoding/csv"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
)

// Format says how a file is written.
type Format struct {
	CSV bool // else NDJSON
	// Header names the columns of a CSV file whose first row is not a header.
	Header []string
	// Columns say which of our columns a header of the file stands for; [Ignore] for
	// none. Headers that are not here are columns of ours. Compared folded.
	Columns map[string]string
	// Comma separates fields; 0 is the comma.
	Comma byte
}

// Ignore stands for no column of ours.
const Ignore = "-"

func (f Format) comma() byte {
	if f.Comma == 0 {
		return ','
	}
	return f.Comma
}

// ParseColumns reads pairs "header=column", as a command line or a query gives them.
// Errors: [dps.InvalidArgument].
func ParseColumns(pairs []string) (map[string]string, error) {
	out := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		header, ours, ok := strings.Cut(pair, "=")
		if !ok || header == "" || ours == "" {
			return nil, dps.Invalid("columns", "pair", "must hold pairs HEADER=column")
		}
		out[fold(header)] = ours
	}
	return out, nil
}

// ParseHeader reads a header row. Errors: [dps.InvalidArgument].
func (f Format) ParseHeader(text string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.Comma = rune(f.comma())
	fields, err := r.Read()
	if err != nil {
		return nil, dps.Invalid("header", "csv", "is not a row of CSV: "+err.Error())
	}
	return fields, nil
}

// check refuses separators that CSV can't have. Errors: [dps.InvalidArgument].
func (f Format) check() error {
	if c := f.comma(); c == '"' || c == '\r' || c == '\n' || c < ' ' && c != '\t' || c > '~' {
		return dps.Invalid("delimiter", "enum", "must be one character such as , ; | or a tab")
	}
	return nil
}

// otherComma is advice for a header that is one column and looks like several.
func (f Format) otherComma() string {
	if len(f.Header) != 1 {
		return ""
	}
	at := strings.IndexAny(f.Header[0], ",;|\t")
	if at < 0 {
		return ""
	}
	return "; if fields are separated by " + strconv.QuoteRune(rune(f.Header[0][at])) + ", say so as the delimiter"
}

// decoder returns a decoder for one goroutine.
func (f Format) decoder() (decodeFunc, error) {
	if !f.CSV {
		return decodeJSON, nil
	}
	t, err := newTable(f)
	if err != nil {
		return nil, err
	}
	return t.decode, nil
}

func fold(header string) string { return dps.FoldASCII(strings.TrimSpace(header)) }
