package wire

// fields are the members of a composite, read in their order; those at the end may be
// missing.
type fields struct {
	*decoder
	left int
}

// descriptor reads the beginning of a composite.
func (d *decoder) descriptor() uint64 {
	if d.byte() != codeDescribed {
		d.fail("it is not described")
		return 0
	}
	code, ok := d.value().(uint64)
	if !ok {
		d.fail("a descriptor is no ulong")
	}
	return code
}

// fields begins to read the list of a composite; end must be called behind it.
func (d *decoder) fields() *fields {
	code := d.byte()
	switch code {
	case codeList0:
		return &fields{decoder: &decoder{depth: d.depth, values: d.values, err: d.err}}
	case codeList8, codeList32:
		inner, count := d.compound(code)
		return &fields{decoder: inner, left: count}
	}
	d.fail("a composite is no list")
	return &fields{decoder: &decoder{values: d.values, err: d.err}}
}

// end passes over the fields that were not asked for.
func (d *decoder) end(f *fields) {
	for f.err == nil && f.left > 0 {
		f.pass()
	}
	d.leave(f.decoder)
}

// pass passes over a field.
func (f *fields) pass() {
	if f.left > 0 {
		f.left--
		f.skip()
	}
}

// null reports whether the next field has no value, and passes over it then.
func (f *fields) null() bool {
	if f.err != nil || f.left == 0 {
		return true
	}
	if len(f.rest) > 0 && f.rest[0] == codeNull {
		f.pass()
		return true
	}
	return false
}

// get reads a field of type T; without a value it is fallback.
func get[T any](f *fields, fallback T) T {
	if f.null() {
		return fallback
	}
	f.left--
	v, ok := f.value().(T)
	if !ok {
		f.fail("a field is of another type than %T", fallback)
	}
	return v
}

// required reads a field that must have a value.
func required[T any](f *fields) T {
	v := optional[T](f)
	if v == nil {
		f.fail("a field lacks its value, of type %T", *new(T))
		return *new(T)
	}
	return *v
}

// optional reads a field; nil: it has no value.
func optional[T any](f *fields) *T {
	if f.null() {
		return nil
	}
	return new(get(f, *new(T)))
}

// composite reads a field that is a composite; read gets its descriptor and its fields.
func (f *fields) composite(read func(code uint64, f *fields)) {
	if f.null() {
		return
	}
	f.left--
	if !f.enter() {
		return
	}
	defer func() { f.depth++ }()
	code := f.descriptor()
	inner := f.fields()
	read(code, inner)
	f.end(inner)
}

func (f *fields) error() *Error {
	var e *Error
	f.composite(func(code uint64, f *fields) {
		if code != descError {
			f.fail("descriptor 0x%x is no error", code)
			return
		}
		e = &Error{Condition: required[Symbol](f), Description: get(f, ""), Info: get(f, Map(nil))}
	})
	return e
}

// terminus reads a source or target, of which only the address matters.
func (f *fields) terminus(want uint64) *Terminus {
	var t *Terminus
	f.composite(func(code uint64, f *fields) {
		if code != want {
			f.fail("descriptor 0x%x is no source or target of a link", code)
			return
		}
		t = &Terminus{Address: get(f, "")}
	})
	return t
}

func orNull[T any](v *T) any {
	if v == nil {
		return nil
	}
	return *v
}

func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
