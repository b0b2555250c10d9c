package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Bounds of what one body or message may hold; devices stay far below.
const (
	maxDepth  = 8    // values inside values
	maxValues = 1024 // values in all
)

// ErrDecode is the cause of every error about the form of a value.
var ErrDecode = errors.New("malformed AMQP value")

// ParseValue reads one value and returns what follows it. Errors: [ErrDecode].
func ParseValue(b []byte) (value any, rest []byte, err error) {
	d := newDecoder(b)
	value = d.value()
	return value, d.rest, d.err
}

// decoder reads values one after the other. After an error, which it keeps, it reads
// zero values only.
type decoder struct {
	rest   []byte
	depth  int
	values *int
	err    error
}

func newDecoder(b []byte) *decoder {
	return &decoder{rest: b, depth: maxDepth, values: new(maxValues)}
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrDecode, fmt.Sprintf(format, args...))
	}
	d.rest = nil
}

// take returns the next n bytes, or nil and fails.
func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.fail("it ends too early")
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// length reads a length of one byte for the codes below 0xb0 and of compounds below
// 0xd0 and arrays below 0xf0, else of four.
func (d *decoder) length(code byte) int {
	if code&0x10 == 0 {
		return int(d.byte())
	}
	return int(d.uint32())
}

func (d *decoder) bytes(code byte) []byte { return d.take(d.length(code)) }

func (d *decoder) text(code byte) string {
	b := d.bytes(code)
	if !utf8.Valid(b) {
		d.fail("a string is not UTF-8")
	}
	return string(b)
}

func (d *decoder) symbol(code byte) Symbol {
	b := d.bytes(code)
	for _, c := range b {
		if c >= utf8.RuneSelf {
			d.fail("a symbol is not ASCII")
		}
	}
	return Symbol(b)
}

// enter counts a value, and one more level of depth.
func (d *decoder) enter() bool {
	*d.values--
	if d.depth--; d.depth < 0 || *d.values < 0 {
		d.fail("it holds too much, or too deep")
	}
	return d.err == nil
}

func (d *decoder) value() any {
	if !d.enter() {
		return nil
	}
	defer func() { d.depth++ }()
	code := d.byte()
	if d.err != nil {
		return nil
	}
	switch {
	case code == codeDescribed:
		return Described{Descriptor: d.value(), Value: d.value()}
	case code < codeBinary8:
		return d.fixed(code)
	}
	return d.variable(code)
}

// fixed reads the values whose width the code tells.
func (d *decoder) fixed(code byte) any {
	switch code >> 4 {
	case 0x4:
		return d.empty(code)
	case 0x5:
		return d.oneByte(code)
	}
	switch code {
	case codeUshort:
		return d.uint16()
	case codeShort:
		return int16(d.uint16()) //nolint:gosec // two's complement
	case codeUint:
		return d.uint32()
	case codeInt:
		return int32(d.uint32()) //nolint:gosec // two's complement
	case codeFloat:
		return math.Float32frombits(d.uint32())
	case codeChar:
		return Char(d.uint32())
	case codeUlong:
		return d.uint64()
	case codeLong:
		return int64(d.uint64()) //nolint:gosec // two's complement
	case codeDouble:
		return math.Float64frombits(d.uint64())
	case codeTimestamp:
		return Timestamp(d.uint64()) //nolint:gosec // two's complement
	case codeUUID:
		return d.uuid()
	}
	d.fail("type 0x%02x is not taken", code)
	return nil
}

func (d *decoder) empty(code byte) any {
	switch code {
	case codeNull:
		return nil
	case codeTrue, codeFalse:
		return code == codeTrue
	case codeUint0:
		return uint32(0)
	case codeUlong0:
		return uint64(0)
	case codeList0:
		return List{}
	}
	d.fail("type 0x%02x is not taken", code)
	return nil
}

func (d *decoder) oneByte(code byte) any {
	b := d.byte()
	switch code {
	case codeUbyte:
		return b
	case codeByte:
		return int8(b) //nolint:gosec // two's complement
	case codeSmallUint:
		return uint32(b)
	case codeSmallUlong:
		return uint64(b)
	case codeSmallInt:
		return int32(int8(b)) //nolint:gosec // two's complement
	case codeSmallLong:
		return int64(int8(b)) //nolint:gosec // two's complement
	case codeBoolean:
		if b > 1 {
			d.fail("a boolean is neither 0 nor 1")
		}
		return b == 1
	}
	d.fail("type 0x%02x is not taken", code)
	return nil
}

func (d *decoder) uuid() UUID {
	var id UUID
	copy(id[:], d.take(len(id)))
	return id
}

// variable reads the values that tell their length.
func (d *decoder) variable(code byte) any {
	switch code {
	case codeBinary8, codeBinary32:
		return append([]byte{}, d.bytes(code)...)
	case codeString8, codeString32:
		return d.text(code)
	case codeSymbol8, codeSymbol32:
		return d.symbol(code)
	case codeList8, codeList32:
		return d.list(code)
	case codeMap8, codeMap32:
		return d.pairs(code)
	case codeArray8, codeArray32:
		return d.symbols(code)
	}
	d.fail("type 0x%02x is not taken", code)
	return nil
}

// compound returns a decoder of the elements of a list, map or array, and their number,
// which the bytes and the bound on values can hold.
func (d *decoder) compound(code byte) (inner *decoder, count int) {
	inner = &decoder{rest: d.take(d.length(code)), depth: d.depth, values: d.values, err: d.err}
	count = inner.length(code)
	if inner.err == nil && (count < 0 || count > len(inner.rest) || count > *d.values) {
		inner.fail("it says to hold more elements than it can")
	}
	if inner.err != nil {
		count = 0
	}
	return inner, count
}

// leave ends a compound: every byte of it must have been read.
func (d *decoder) leave(inner *decoder) {
	if inner.err == nil && len(inner.rest) > 0 {
		inner.fail("%d bytes stand behind the last element", len(inner.rest))
	}
	if inner.err != nil {
		d.err, d.rest = inner.err, nil
	}
}

func (d *decoder) list(code byte) List {
	inner, count := d.compound(code)
	list := make(List, count)
	for i := range list {
		list[i] = inner.value()
	}
	d.leave(inner)
	return list
}

func (d *decoder) pairs(code byte) Map {
	inner, count := d.compound(code)
	if count%2 != 0 {
		inner.fail("a map has a key without a value")
		count = 0
	}
	pairs := make(Map, count/2)
	for i := range pairs {
		pairs[i] = inner.pair()
	}
	d.leave(inner)
	return pairs
}

func (d *decoder) pair() Pair {
	switch key := d.value().(type) {
	case string:
		return Pair{Key: key, Value: d.value()}
	case Symbol:
		return Pair{Key: string(key), Symbol: true, Value: d.value()}
	}
	d.fail("the key of a map is no text")
	return Pair{}
}

func (d *decoder) symbols(code byte) Symbols {
	inner, count := d.compound(code)
	element := inner.byte()
	if element != codeSymbol8 && element != codeSymbol32 {
		inner.fail("an array is not of symbols")
		count = 0
	}
	symbols := make(Symbols, count)
	for i := range symbols {
		symbols[i] = inner.symbol(element)
	}
	*d.values -= count
	d.leave(inner)
	return symbols
}

// skip passes over a value without reading what is in it.
func (d *decoder) skip() {
	if !d.enter() {
		return
	}
	defer func() { d.depth++ }()
	code := d.byte()
	switch {
	case d.err != nil:
	case code == codeDescribed:
		d.skip()
		d.skip()
	case code < 0x40:
		d.fail("type 0x%02x is not taken", code)
	case code < 0x50:
	case code < codeBinary8: // 1, 2, 4, 8 or 16 bytes by the code's first digit
		d.take(1 << (code>>4 - 5))
	default:
		d.take(d.length(code))
	}
}
