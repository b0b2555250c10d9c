package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// appender is a composite that writes itself.
type appender interface{ appendTo(b []byte) []byte }

// AppendValue appends a value's encoding. It panics on a Go type that is no AMQP value,
// which no input can bring about.
func AppendValue(b []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(b, codeNull)
	case bool:
		if v {
			return append(b, codeTrue)
		}
		return append(b, codeFalse)
	case string:
		return append(appendLength(b, codeString8, len(v)), v...)
	case Symbol:
		return append(appendLength(b, codeSymbol8, len(v)), v...)
	case []byte:
		return append(appendLength(b, codeBinary8, len(v)), v...)
	case appender:
		return v.appendTo(b)
	}
	return appendNumber(b, value)
}

func appendNumber(b []byte, value any) []byte {
	switch v := value.(type) {
	case uint8:
		return append(b, codeUbyte, v)
	case int8:
		return append(b, codeByte, byte(v)) //nolint:gosec // two's complement
	case uint16:
		return binary.BigEndian.AppendUint16(append(b, codeUshort), v)
	case int16:
		return binary.BigEndian.AppendUint16(append(b, codeShort), uint16(v)) //nolint:gosec // two's complement
	case uint32:
		return appendUint(b, v)
	case int32:
		return binary.BigEndian.AppendUint32(append(b, codeInt), uint32(v)) //nolint:gosec // two's complement
	case uint64:
		return appendUlong(b, v)
	case int64:
		return binary.BigEndian.AppendUint64(append(b, codeLong), uint64(v)) //nolint:gosec // two's complement
	case float32:
		return binary.BigEndian.AppendUint32(append(b, codeFloat), math.Float32bits(v))
	case float64:
		return binary.BigEndian.AppendUint64(append(b, codeDouble), math.Float64bits(v))
	case Char:
		return binary.BigEndian.AppendUint32(append(b, codeChar), uint32(v))
	case Timestamp:
		return binary.BigEndian.AppendUint64(append(b, codeTimestamp), uint64(v)) //nolint:gosec // two's complement
	case UUID:
		return append(append(b, codeUUID), v[:]...)
	}
	panic(fmt.Sprintf("wire: %T is no AMQP value", value))
}

func appendUint(b []byte, v uint32) []byte {
	switch {
	case v == 0:
		return append(b, codeUint0)
	case v <= math.MaxUint8:
		return append(b, codeSmallUint, byte(v))
	}
	return binary.BigEndian.AppendUint32(append(b, codeUint), v)
}

func appendUlong(b []byte, v uint64) []byte {
	switch {
	case v == 0:
		return append(b, codeUlong0)
	case v <= math.MaxUint8:
		return append(b, codeSmallUlong, byte(v))
	}
	return binary.BigEndian.AppendUint64(append(b, codeUlong), v)
}

// appendLength appends the code for n bytes, of which short is the one for up to 255,
// and n.
func appendLength(b []byte, short byte, n int) []byte {
	if n <= math.MaxUint8 {
		return append(b, short, byte(n)) //nolint:gosec // at most 255
	}
	return binary.BigEndian.AppendUint32(append(b, short+0x10), uint32(n)) //nolint:gosec // bounded by messages
}

// appendCompound appends a list32, map32 or array32 of count elements that fill writes.
func appendCompound(b []byte, code byte, count int, fill func(b []byte) []byte) []byte {
	b = append(b, code, 0, 0, 0, 0)
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(count)) //nolint:gosec // bounded by messages
	b = fill(b)
	binary.BigEndian.PutUint32(b[at-4:], uint32(len(b)-at)) //nolint:gosec // bounded by messages
	return b
}

func (l List) appendTo(b []byte) []byte {
	if len(l) == 0 {
		return append(b, codeList0)
	}
	return appendCompound(b, codeList32, len(l), func(b []byte) []byte {
		for _, v := range l {
			b = AppendValue(b, v)
		}
		return b
	})
}

func (m Map) appendTo(b []byte) []byte {
	return appendCompound(b, codeMap32, 2*len(m), func(b []byte) []byte {
		for _, p := range m {
			if p.Symbol {
				b = AppendValue(b, Symbol(p.Key))
			} else {
				b = AppendValue(b, p.Key)
			}
			b = AppendValue(b, p.Value)
		}
		return b
	})
}

func (s Symbols) appendTo(b []byte) []byte {
	return appendCompound(b, codeArray32, len(s), func(b []byte) []byte {
		b = append(b, codeSymbol32)
		for _, one := range s {
			b = binary.BigEndian.AppendUint32(b, uint32(len(one))) //nolint:gosec // bounded by messages
			b = append(b, one...)
		}
		return b
	})
}

func (d Described) appendTo(b []byte) []byte {
	return AppendValue(AppendValue(append(b, codeDescribed), d.Descriptor), d.Value)
}

// appendComposite appends a described list, without the nulls at its end.
func appendComposite(b []byte, descriptor uint64, fields ...any) []byte {
	for len(fields) > 0 && fields[len(fields)-1] == nil {
		fields = fields[:len(fields)-1]
	}
	return Described{Descriptor: descriptor, Value: List(fields)}.appendTo(b)
}
