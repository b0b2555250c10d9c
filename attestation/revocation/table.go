package revocation

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sort"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// maxSerial is the longest serial number in bytes: more than the 20 that RFC 5280 allows.
const maxSerial = 64

// table holds the entries of a list: serial numbers of one length lie beside each other,
// sorted, each followed by what else is known.
type table struct {
	slabs [maxSerial + 1][]byte // by length of the serial numbers
	count int
}

// tail is what follows a serial number: seconds since 1970, 32 bits; the reason's code.
const tail = 4 + 1

func (t *table) find(serial *big.Int) (Entry, bool) {
	size := (serial.BitLen() + 7) / 8
	if size > maxSerial || serial.Sign() < 0 {
		return Entry{}, false
	}
	var buffer [maxSerial]byte
	key, slab, width := serial.FillBytes(buffer[:size]), t.slabs[size], size+tail
	i, found := sort.Find(len(slab)/width, func(i int) int { return bytes.Compare(key, slab[i*width:][:size]) })
	if !found {
		return Entry{}, false
	}
	rest := slab[i*width+size:]
	return Entry{At: time.Unix(int64(binary.BigEndian.Uint32(rest)), 0).UTC(), Reason: reasonName(int(rest[4]))}, true
}

// row is an entry on its way into a table.
type row struct {
	prefix uint64 // first bytes of the serial number, which mostly decide the order
	at     uint32 // where the serial number begins in the list
	time   uint32
	size   uint8
	reason uint8
}

func (r row) serial(list []byte) []byte { return list[r.at:][:r.size] }

// readEntries reads the content of revokedCertificates. Serial numbers that no
// certificate can have here (negative ones) and entries that take a revocation back are
// left out.
func readEntries(list cryptobyte.String) (table, error) {
	rows, err := readRows(list)
	if err != nil {
		return table{}, err
	}
	order := func(a, b row) int {
		if a.size != b.size {
			return cmp.Compare(a.size, b.size)
		}
		if a.prefix != b.prefix { // beyond it lies memory that is far away
			return cmp.Compare(a.prefix, b.prefix)
		}
		return bytes.Compare(a.serial(list), b.serial(list))
	}
	slices.SortFunc(rows, order)
	return pack(list, slices.CompactFunc(rows, func(a, b row) bool { return order(a, b) == 0 })), nil
}

func readRows(list cryptobyte.String) ([]row, error) {
	var rows []row
	for rest := list; !rest.Empty(); {
		before := len(rest)
		r, keep, err := readRow(&rest, len(list))
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", len(rows)+1, err)
		}
		if rows == nil { // most lists have entries of one size
			rows = make([]row, 0, len(list)/(before-len(rest))+1)
		}
		if keep {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// readRow reads the first of the remaining entries of a list of so many bytes.
func readRow(rest *cryptobyte.String, length int) (r row, keep bool, err error) {
	var entry, serial cryptobyte.String
	if !rest.ReadASN1(&entry, asn1.SEQUENCE) || !entry.ReadASN1(&serial, asn1.INTEGER) || len(serial) == 0 {
		return row{}, false, fmt.Errorf("it has no serial number")
	}
	end := length - len(*rest) - len(entry) // of the serial number
	negative := serial[0]&0x80 != 0
	serial = bytes.TrimLeft(serial, "\x00")
	if len(serial) > maxSerial {
		return row{}, false, fmt.Errorf("its serial number is longer than %d bytes", maxSerial)
	}
	at, err := readTime(&entry)
	if err != nil {
		return row{}, false, err
	}
	reason, err := readReason(entry)
	if err != nil {
		return row{}, false, err
	}
	r = row{prefix: prefix(serial), time: at, reason: reason}
	r.at, r.size = uint32(end-len(serial)), uint8(len(serial)) //nolint:gosec // at most MaxListSize and maxSerial
	return r, !negative && reason != removeFromCRL, nil
}

func prefix(serial []byte) uint64 {
	var eight [8]byte
	copy(eight[:], serial)
	return binary.BigEndian.Uint64(eight[:])
}

// pack lays sorted rows into slabs of exactly their size.
func pack(list []byte, rows []row) table {
	t := table{count: len(rows)}
	var sizes [maxSerial + 1]int
	for _, r := range rows {
		sizes[r.size]++
	}
	for size, n := range sizes {
		t.slabs[size] = make([]byte, 0, n*(size+tail))
	}
	for _, r := range rows {
		slab := append(t.slabs[r.size], r.serial(list)...)
		t.slabs[r.size] = append(binary.BigEndian.AppendUint32(slab, r.time), r.reason)
	}
	return t
}

// readTime reads a Time of RFC 5280, 5.1.2.6, as seconds since 1970. It is asked a
// million times for one list, which time.Parse is too slow for.
func readTime(entry *cryptobyte.String) (uint32, error) {
	var text cryptobyte.String
	var tag asn1.Tag
	if !entry.ReadAnyASN1(&text, &tag) {
		return 0, fmt.Errorf("it has no revocation date")
	}
	century := 0
	if tag == asn1.UTCTime && len(text) == 13 {
		if century = 1900; text[0] < '5' {
			century = 2000
		}
	} else if tag == asn1.GeneralizedTime && len(text) == 15 {
		century, text = 100*digits(text), text[2:]
	} else {
		return 0, fmt.Errorf("its revocation date is broken")
	}
	var f [6]int // year of the century, month, day, hour, minute, second
	for i := range f {
		f[i] = digits(text[2*i:])
	}
	if century < 0 || f[0] < 0 || f[1] < 1 || f[1] > 12 || f[2] < 1 || f[2] > 31 || f[3] < 0 || f[3] > 23 ||
		f[4] < 0 || f[4] > 59 || f[5] < 0 || f[5] > 59 || text[12] != 'Z' {
		return 0, fmt.Errorf("its revocation date is broken")
	}
	at := time.Date(century+f[0], time.Month(f[1]), f[2], f[3], f[4], f[5], 0, time.UTC).Unix()
	return uint32(max(0, min(at, math.MaxUint32))), nil
}

// digits returns the number that two digits make, a large negative one if they are none.
func digits(text []byte) int {
	a, b := int(text[0])-'0', int(text[1])-'0'
	if a < 0 || a > 9 || b < 0 || b > 9 {
		return math.MinInt16
	}
	return 10*a + b
}

// readReason reads the extensions of an entry, of which the reason's code is kept.
func readReason(entry cryptobyte.String) (reason uint8, err error) {
	if entry.Empty() {
		return 0, nil
	}
	var extensions cryptobyte.String
	if !entry.ReadASN1(&extensions, asn1.SEQUENCE) || !entry.Empty() {
		return 0, fmt.Errorf("its extensions are broken")
	}
	for !extensions.Empty() {
		var e, id, value cryptobyte.String
		var critical bool
		if !extensions.ReadASN1(&e, asn1.SEQUENCE) || !e.ReadASN1(&id, asn1.OBJECT_IDENTIFIER) ||
			e.PeekASN1Tag(asn1.BOOLEAN) && !e.ReadASN1Boolean(&critical) || !e.ReadASN1(&value, asn1.OCTET_STRING) || !e.Empty() {
			return 0, fmt.Errorf("its extensions are broken")
		}
		switch entryExtension(id) {
		case reasonCode:
			var code cryptobyte.String
			if !value.ReadASN1(&code, asn1.ENUM) || len(code) != 1 || !value.Empty() {
				return 0, fmt.Errorf("its reason is broken")
			}
			reason = code[0]
		case certificateIssuer:
			return 0, fmt.Errorf("it is of another issuer; indirect lists are not understood")
		case invalidityDate:
		default:
			if critical {
				return 0, fmt.Errorf("it has an unknown critical extension")
			}
		}
	}
	return reason, nil
}

// entryExtension is [standard] of an encoded identifier.
func entryExtension(id []byte) int {
	if len(id) == 3 && id[0] == 0x55 && id[1] == 29 {
		return int(id[2])
	}
	return noStandardExtension
}

// removeFromCRL is the code of an entry that takes a revocation back.
const removeFromCRL = 8

// reasonName returns the name of a CRLReason (RFC 5280, 5.3.1); empty for unspecified
// and for codes that have none.
func reasonName(code int) string {
	names := [...]string{
		1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded", 5: "cessationOfOperation",
		6: "certificateHold", 8: "removeFromCRL", 9: "privilegeWithdrawn", 10: "aACompromise",
	}
	if code < 0 || code >= len(names) {
		return ""
	}
	return names[code]
}
