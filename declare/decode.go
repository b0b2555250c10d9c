package declare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of a file.
const (
	maxFile   = 16 << 20 // bytes: hundreds of enrollments with their certificates
	maxDepth  = 64       // nested objects; a twin has 10
	maxNodes  = 4 << 20  // values, those behind aliases counted each time
	maxFaults = 20       // more are not told
)

// Parse reads the documents of a file: each is one scope, or a list of them. Everything
// that is no member is refused. Errors: [*Fault]s, joined.
func Parse(name string, text []byte) ([]Scope, error) {
	if len(text) > maxFile {
		return nil, &Fault{File: name, Message: "is larger than 16 MiB; put lots into files that enrollmentFiles names"}
	}
	d := &decoder{file: name, left: maxNodes}
	var scopes []Scope
	for in := yaml.NewDecoder(bytes.NewReader(asYAML(text))); ; {
		var n yaml.Node
		err := in.Decode(&n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, syntax(name, err)
		}
		scopes = append(scopes, d.document(&n)...)
	}
	if len(d.faults) > 0 {
		return nil, errors.Join(d.faults...)
	}
	return scopes, nil
}

// document is one of a file.
type document struct {
	place `yaml:"-"`

	APIVersion string  `yaml:"apiVersion"`
	Scopes     []Scope `yaml:"scopes"`
	Scope      `yaml:",inline"`
}

func (d *decoder) document(n *yaml.Node) []Scope {
	var doc document
	if n.Kind != yaml.DocumentNode || len(n.Content) != 1 || isNull(n.Content[0]) {
		return nil
	}
	root := n.Content[0]
	before := len(d.faults)
	d.value(root, reflect.ValueOf(&doc).Elem(), "", 0)
	if doc.APIVersion != "" && doc.APIVersion != "v1" {
		d.faultf(root, "apiVersion must be v1")
	}
	one := doc.Scope
	one.put(d.file, root.Line)
	switch {
	case doc.Scopes == nil:
		return []Scope{one}
	case len(d.faults) == before && one.mentions():
		d.faultf(root, "scopes excludes members of one scope beside it")
	}
	return doc.Scopes
}

func (s *Scope) mentions() bool {
	return s.Service != nil || s.LinkedHubs != nil || s.Certificates != nil || s.Policies != nil ||
		s.IPFilterRules != nil || s.Sites != nil || s.EnrollmentGroups != nil || s.Enrollments != nil || s.EnrollmentFiles != nil
}

func syntax(name string, err error) error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	f := &Fault{File: name, Message: message}
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		number, rest, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			f.Line, f.Message = n, rest
		}
	}
	return f
}

// decoder puts nodes into structs and collects what does not fit.
type decoder struct {
	file   string
	left   int // nodes that may still be visited
	faults []error
}

func (d *decoder) faultf(n *yaml.Node, format string, args ...any) {
	if len(d.faults) < maxFaults {
		d.faults = append(d.faults, &Fault{File: d.file, Line: n.Line, Message: fmt.Sprintf(format, args...)})
	}
}

// enter follows aliases, and stops what is nested or repeated without measure.
func (d *decoder) enter(n *yaml.Node, depth int) (*yaml.Node, bool) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if d.left--; d.left < 0 || depth > maxDepth {
		if d.left >= -1 {
			d.faultf(n, "is nested too deep, or repeats itself too often by aliases")
		}
		d.left = -1
		return n, false
	}
	return n, true
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// value puts a node into a field; null leaves it as it is.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, depth int) {
	n, ok := d.enter(n, depth)
	if !ok || isNull(n) {
		return
	}
	if p, ok := reflect.TypeAssert[interface{ put(string, int) }](v.Addr()); ok {
		p.put(d.file, n.Line)
	}
	switch to := v.Addr().Interface().(type) {
	case *Secret:
		if text, ok := d.text(n, path); ok {
			*to = NewSecret(text)
		}
		return
	case *JSON:
		*to = d.free(n, path, depth)
		return
	}
	switch v.Kind() { //nolint:exhaustive // the others are in no struct here
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path, depth)
	case reflect.Struct:
		d.object(n, v, path, depth)
	case reflect.Slice:
		d.list(n, v, path, depth)
	case reflect.String:
		if text, ok := d.text(n, path); ok {
			v.SetString(text)
		}
	case reflect.Bool, reflect.Int:
		d.scalar(n, v, path)
	default:
		panic("declare: no decoding of " + v.Type().String())
	}
}

// text takes a scalar as it is written: 1.2 and 007 are texts, too.
func (d *decoder) text(n *yaml.Node, path string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		d.faultf(n, "%s must be a text", path)
		return "", false
	}
	return n.Value, true
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	what, tag := "true or false", "!!bool"
	if v.Kind() == reflect.Int {
		what, tag = "a whole number", "!!int"
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != tag || n.Decode(v.Addr().Interface()) != nil {
		d.faultf(n, "%s must be %s", path, what)
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.faultf(n, "%s must be a list", path)
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, min(len(n.Content), max(d.left, 0)))
	for i, item := range n.Content {
		if d.left < 0 {
			return
		}
		one := reflect.New(v.Type().Elem()).Elem()
		at := path + "[" + strconv.Itoa(i) + "]"
		if isNull(item) {
			d.faultf(item, "%s is empty", at)
		}
		d.value(item, one, at, depth+1)
		out = reflect.Append(out, one)
	}
	v.Set(out)
}

func (d *decoder) object(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.faultf(n, "%s must be an object", orFile(path))
		return
	}
	fields := map[string]reflect.Value{}
	fieldsOf(v, fields)
	for _, m := range d.members(n, path, depth) {
		field, ok := fields[m.name]
		if !ok {
			d.faultf(m.key, "%s is no member of %s", strconv.Quote(m.name), orFile(path))
			continue
		}
		d.value(m.value, field, strings.TrimPrefix(path+"."+m.name, "."), depth+1)
	}
}

func orFile(path string) string {
	if path == "" {
		return "a declaration"
	}
	return path
}

// fieldsOf finds the fields of a struct, those of inlined ones too, by member name.
func fieldsOf(v reflect.Value, out map[string]reflect.Value) {
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case name == "-":
		case options == "inline":
			fieldsOf(v.Field(i), out)
		default:
			out[name] = v.Field(i)
		}
	}
}

// member is one of an object.
type member struct {
	name       string
	key, value *yaml.Node
}

// members returns those of an object, and of what is merged into it ("<<") where it does
// not say otherwise itself.
func (d *decoder) members(n *yaml.Node, path string, depth int) []member {
	var own, merged []member
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, ok := d.enter(n.Content[i], depth)
		if !ok {
			return nil
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			d.faultf(key, "a member's name must be a text")
		case key.ShortTag() == "!!merge":
			merged = append(merged, d.merged(n.Content[i+1], path, depth+1)...)
		case seen[key.Value]:
			d.faultf(key, "%s stands twice in %s", strconv.Quote(key.Value), orFile(path))
		default:
			seen[key.Value] = true
			own = append(own, member{key.Value, key, n.Content[i+1]})
		}
	}
	for _, m := range merged {
		if !seen[m.name] {
			seen[m.name] = true
			own = append(own, m)
		}
	}
	return own
}

func (d *decoder) merged(n *yaml.Node, path string, depth int) []member {
	n, ok := d.enter(n, depth)
	if !ok {
		return nil
	}
	switch n.Kind { //nolint:exhaustive // others are refused
	case yaml.MappingNode:
		return d.members(n, path, depth)
	case yaml.SequenceNode:
		var out []member
		for _, one := range n.Content {
			out = append(out, d.merged(one, path, depth+1)...)
		}
		return out
	}
	d.faultf(n, "<< must be followed by an object, or a list of them")
	return nil
}

// free turns an object of any form into JSON.
func (d *decoder) free(n *yaml.Node, path string, depth int) JSON {
	if n.Kind != yaml.MappingNode {
		d.faultf(n, "%s must be an object", path)
		return nil
	}
	v, ok := d.anything(n, path, depth)
	if !ok {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		d.faultf(n, "%s is no JSON: %v", path, err)
		return nil
	}
	return text
}

func (d *decoder) anything(n *yaml.Node, path string, depth int) (any, bool) {
	n, ok := d.enter(n, depth)
	if !ok {
		return nil, false
	}
	switch n.Kind { //nolint:exhaustive // enter follows aliases, and no value is a document
	case yaml.MappingNode:
		out := map[string]any{}
		for _, m := range d.members(n, path, depth) {
			if out[m.name], ok = d.anything(m.value, path+"."+m.name, depth+1); !ok {
				return nil, false
			}
		}
		return out, true
	case yaml.SequenceNode:
		out := make([]any, 0, min(len(n.Content), max(d.left, 0)))
		for i, item := range n.Content {
			one, ok := d.anything(item, path+"["+strconv.Itoa(i)+"]", depth+1)
			if !ok {
				return nil, false
			}
			out = append(out, one)
		}
		return out, true
	}
	return d.plain(n, path)
}

// plain turns a scalar into its JSON value. Times stay the texts that they are.
func (d *decoder) plain(n *yaml.Node, path string) (any, bool) {
	switch n.ShortTag() {
	case "!!null":
		return nil, true
	case "!!bool":
		var on bool
		if err := n.Decode(&on); err != nil {
			d.faultf(n, "%s must be true or false", path)
			return nil, false
		}
		return on, true
	case "!!int", "!!float":
		return d.number(n, path)
	}
	return n.Value, true
}

// number keeps what JSON would write the same way, to the last digit.
func (d *decoder) number(n *yaml.Node, path string) (any, bool) {
	if json.Valid([]byte(n.Value)) {
		return json.Number(n.Value), true
	}
	var whole int64
	if n.Decode(&whole) == nil && n.ShortTag() == "!!int" {
		return whole, true
	}
	var f float64
	if err := n.Decode(&f); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		d.faultf(n, "%s must be a number that JSON has", path)
		return nil, false
	}
	return f, true
}
