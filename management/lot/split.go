package lot

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/zerotouch-dps/dps"
)

// MaxRow bounds one row, in bytes: what the service API takes as a body.
const MaxRow = 96 << 10

// row is one row of a file as it stands there.
type row struct {
	number int64 // from 1; headers and blank lines don't count
	offset int64 // of its first byte in the file
	end    int64 // of the first byte behind it
	text   []byte
	bad    error // why it can't be read; nil: it can
	size   int   // in a batch: where its text ends there
}

// splitter cuts a file into rows. It takes no more memory than a row of greatest length.
type splitter struct {
	scan   *bufio.Scanner
	source *source
	quoted bool // CSV: a line break between quotes belongs to the row
	comma  byte

	number   int64
	offset   int64 // of what split sees next
	start    int64 // of the row that split found
	bad      error // of the row that split found
	skipping bool  // the rest of a line that is too long
}

// source remembers why reading ended before the end of the file.
type source struct {
	io.Reader
	err error
}

// Read implements [io.Reader].
func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// newSplitter reads rows from the position start on.
func newSplitter(r io.Reader, f Format, start Position) *splitter {
	s := &splitter{source: &source{Reader: r}, quoted: f.CSV, comma: f.comma(), number: start.Row, offset: start.Offset}
	s.scan = bufio.NewScanner(s.source)
	s.scan.Buffer(make([]byte, 0, 64<<10), 2*MaxRow)
	s.scan.Split(s.split)
	return s
}

// next returns the next row, whose text is good until the call after, or [io.EOF] at the
// end of the file. Another error tells why reading ended; a row that it cut in two is
// not given.
func (s *splitter) next() (row, error) {
	if !s.scan.Scan() {
		if s.source.err != nil {
			return row{}, s.source.err
		}
		return row{}, io.EOF
	}
	s.number++
	return row{number: s.number, offset: s.start, end: s.offset, text: s.scan.Bytes(), bad: s.bad}, nil
}

// split implements [bufio.SplitFunc].
func (s *splitter) split(data []byte, atEOF bool) (int, []byte, error) {
	if atEOF && s.source.err != nil { // next tells of it
		return len(data), nil, nil //nolint:nilerr // see above
	}
	for all := 0; ; { // at its end, a scanner takes "no row here" for "no more rows"
		advance, token := s.cut(data[all:], atEOF)
		s.start, s.offset = s.offset, s.offset+int64(advance)
		if all += advance; token != nil || advance == 0 || all == len(data) {
			return all, token, nil
		}
	}
}

// cut finds the first row of data: how much it takes, and its text; nil while it is not
// whole, or if there is nothing but a blank line.
func (s *splitter) cut(data []byte, atEOF bool) (int, []byte) {
	s.bad = nil
	if s.skipping {
		return s.skip(data), nil
	}
	if s.offset == 0 && bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) { // a byte order mark
		return 3, nil
	}
	end, open := s.rowEnd(data)
	switch {
	case end < 0 && !atEOF && len(data) <= MaxRow:
		return 0, nil
	case end < 0 && atEOF && !open && len(data) <= MaxRow:
		end = len(data)
	case end < 0:
		return s.refuse(data, open)
	case end > MaxRow+2:
		s.bad = tooLarge()
		return end, []byte{}
	}
	text := bytes.TrimRight(data[:end], "\r\n")
	if len(bytes.TrimSpace(text)) == 0 {
		return end, nil
	}
	return end, text
}

// refuse gives up the first line of data. Rows after it are read again: a quote that is
// never closed spoils its own line only.
func (s *splitter) refuse(data []byte, open bool) (int, []byte) {
	if s.bad = tooLarge(); open {
		s.bad = dps.Invalid("row", "quote", "opens a quote that is not closed within the row")
	}
	line := bytes.IndexByte(data, '\n')
	if line < 0 {
		s.skipping = true
		return len(data), []byte{}
	}
	return line + 1, []byte{}
}

func tooLarge() error {
	return dps.Invalid("row", "size", "is larger than "+strconv.Itoa(MaxRow)+" bytes")
}

// skip drops the rest of a line.
func (s *splitter) skip(data []byte) int {
	if line := bytes.IndexByte(data, '\n'); line >= 0 {
		s.skipping = false
		return line + 1
	}
	return len(data)
}

// rowEnd returns where the first row of data ends, behind its line break; -1 if it does
// not end in it, and whether that is for a quote that is open.
func (s *splitter) rowEnd(data []byte) (end int, open bool) {
	line := bytes.IndexByte(data, '\n')
	if !s.quoted || line >= 0 && bytes.IndexByte(data[:line], '"') < 0 {
		if line < 0 {
			return -1, false
		}
		return line + 1, false
	}
	return s.quotedEnd(data)
}

// quotedEnd is rowEnd of CSV (RFC 4180): a quote opens at the beginning of a field only,
// and is closed by one that is not doubled.
func (s *splitter) quotedEnd(data []byte) (int, bool) {
	open, fresh := false, true
	for i, c := range data {
		switch {
		case open:
			if c == '"' { // if it was the first of two, the next one opens again
				open, fresh = false, true
			}
		case c == '\n':
			return i + 1, false
		case c == '"' && fresh:
			open = true
		default:
			fresh = c == s.comma
		}
	}
	return -1, open
}
