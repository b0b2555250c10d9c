package declare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"

	"go.yaml.in/yaml/v3"

	"github.com/zerotouch-dps/dps"
)

// place is where something stands: what messages begin with.
type place struct {
	file string
	line int
}

func (p *place) put(file string, line int) { p.file, p.line = file, line }

// faultf says what is wrong there.
func (p *place) faultf(format string, args ...any) error {
	return &Fault{File: p.file, Line: p.line, Message: fmt.Sprintf(format, args...)}
}

// Fault is something wrong in a file.
type Fault struct {
	File    string
	Line    int
	Message string
}

// Error returns file, line and message.
func (f *Fault) Error() string {
	if f.Line == 0 {
		return f.File + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message)
}

// Secret is a text that is shown nowhere, but written by [Encode].
type Secret struct{ dps.Secret }

// NewSecret wraps a text.
func NewSecret(text string) Secret { return Secret{dps.NewSecret(text)} }

// MarshalYAML writes the text: a file with secrets is written only when it is asked for.
func (s Secret) MarshalYAML() (any, error) { return s.Reveal(), nil }

// JSON is a free form object.
type JSON json.RawMessage

// IsZero reports whether there is none.
func (j JSON) IsZero() bool { return len(j) == 0 }

// MarshalYAML writes the object, members by name.
func (j JSON) MarshalYAML() (any, error) {
	d := json.NewDecoder(bytes.NewReader(j))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("encode object: %w", err)
	}
	return jsonNode(v)
}

func jsonNode(v any) (*yaml.Node, error) {
	switch v := v.(type) {
	case json.Number: // which the encoder would take for a text
		return &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}, nil
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode}
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			if err := appendNodes(n, name, v[name]); err != nil {
				return nil, err
			}
		}
		return n, nil
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		return n, appendNodes(n, v...)
	}
	n := &yaml.Node{}
	if err := n.Encode(v); err != nil {
		return nil, fmt.Errorf("encode object: %w", err)
	}
	return n, nil
}

func appendNodes(to *yaml.Node, values ...any) error {
	for _, v := range values {
		n, err := jsonNode(v)
		if err != nil {
			return err
		}
		to.Content = append(to.Content, n)
	}
	return nil
}
