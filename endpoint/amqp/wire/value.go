package wire

// Values are nil, bool, uint8 to uint64, int8 to int64, float32, float64, string,
// []byte, and the types below.
type (
	// Symbol is text from a constrained domain, ASCII.
	Symbol string
	// Symbols is an array of symbols, the only array that is taken.
	Symbols []Symbol
	// Char is one Unicode character.
	Char uint32
	// Timestamp is milliseconds since 1970, UTC.
	Timestamp int64
	// UUID is a universally unique identifier.
	UUID [16]byte
	// List is a sequence of values.
	List []any
	// Map is pairs in the order of the wire.
	Map []Pair
)

// Pair is an entry of a [Map].
type Pair struct {
	Key    string
	Symbol bool // the key is a symbol, not a string
	Value  any
}

// Described is a value with a descriptor.
type Described struct{ Descriptor, Value any }

// Get returns the value of a key, symbol or string; nil if it is not there.
func (m Map) Get(key string) any {
	for _, p := range m {
		if p.Key == key {
			return p.Value
		}
	}
	return nil
}

// Text returns the value of a key that is text, symbol or string; else "".
func (m Map) Text(key string) string {
	switch v := m.Get(key).(type) {
	case string:
		return v
	case Symbol:
		return string(v)
	}
	return ""
}

// Format codes (AMQP 1.0, part 1, 1.6).
const (
	codeDescribed  = 0x00
	codeNull       = 0x40
	codeTrue       = 0x41
	codeFalse      = 0x42
	codeUint0      = 0x43
	codeUlong0     = 0x44
	codeList0      = 0x45
	codeUbyte      = 0x50
	codeByte       = 0x51
	codeSmallUint  = 0x52
	codeSmallUlong = 0x53
	codeSmallInt   = 0x54
	codeSmallLong  = 0x55
	codeBoolean    = 0x56
	codeUshort     = 0x60
	codeShort      = 0x61
	codeUint       = 0x70
	codeInt        = 0x71
	codeFloat      = 0x72
	codeChar       = 0x73
	codeUlong      = 0x80
	codeLong       = 0x81
	codeDouble     = 0x82
	codeTimestamp  = 0x83
	codeUUID       = 0x98
	codeBinary8    = 0xa0
	codeString8    = 0xa1
	codeSymbol8    = 0xa3
	codeBinary32   = 0xb0
	codeString32   = 0xb1
	codeSymbol32   = 0xb3
	codeList8      = 0xc0
	codeMap8       = 0xc1
	codeList32     = 0xd0
	codeMap32      = 0xd1
	codeArray8     = 0xe0
	codeArray32    = 0xf0
)
