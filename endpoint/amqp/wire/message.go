package wire

// Descriptors of a message's sections (AMQP 1.0, part 3, 3.2).
const (
	descHeader        = 0x70
	descFooter        = 0x78
	descProperties    = 0x73
	descAppProperties = 0x74
	descData          = 0x75
	descValue         = 0x77
	fieldsBeforeID    = 5 // message-id, user-id, to, subject, reply-to
)

// Message is what devices and the service say to each other.
type Message struct {
	// CorrelationID is nil, uint64, [UUID], []byte or string.
	CorrelationID any
	// Properties are the application properties.
	Properties Map
	// Body is the data sections, or the text or bytes of a value section.
	Body []byte
}

// ParseMessage reads a message. Errors: [ErrDecode].
func ParseMessage(b []byte) (Message, error) {
	d := newDecoder(b)
	var m Message
	for d.err == nil && len(d.rest) > 0 {
		m.section(d)
	}
	if d.err != nil {
		return Message{}, d.err
	}
	return m, nil
}

func (m *Message) section(d *decoder) {
	code := d.descriptor()
	switch {
	case d.err != nil:
	case code == descProperties:
		f := d.fields()
		for range fieldsBeforeID {
			f.pass()
		}
		m.CorrelationID = f.messageID()
		d.end(f)
	case code == descAppProperties:
		if properties := d.value(); properties != nil {
			m.Properties = typed[Map](d, properties)
		}
	case code == descData:
		m.Body = append(m.Body, typed[[]byte](d, d.value())...)
	case code == descValue:
		m.value(d)
	case descHeader <= code && code <= descFooter:
		d.skip() // header, annotations, sequences, footer
	default:
		d.fail("descriptor 0x%x is no section of a message", code)
	}
}

// value reads a value section; what is no text says nothing.
func (m *Message) value(d *decoder) {
	switch v := d.value().(type) {
	case string:
		m.Body = append(m.Body, v...)
	case []byte:
		m.Body = append(m.Body, v...)
	}
}

func typed[T any](d *decoder, value any) T {
	v, ok := value.(T)
	if !ok {
		d.fail("a section is of another type than %T", v)
	}
	return v
}

func (f *fields) messageID() any {
	switch v := get[any](f, nil).(type) {
	case nil, uint64, UUID, []byte, string:
		return v
	}
	f.fail("a correlation-id is of another type than the four it may have")
	return nil
}

// Append appends the message's encoding: properties if there is a correlation ID,
// application properties, and one data section.
func (m Message) Append(b []byte) []byte {
	if m.CorrelationID != nil {
		b = appendComposite(b, descProperties, nil, nil, nil, nil, nil, m.CorrelationID)
	}
	if len(m.Properties) > 0 {
		b = Described{Descriptor: uint64(descAppProperties), Value: m.Properties}.appendTo(b)
	}
	body := m.Body
	if body == nil {
		body = []byte{}
	}
	return Described{Descriptor: uint64(descData), Value: body}.appendTo(b)
}
