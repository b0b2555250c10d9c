package hubemulator

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"
)

// Bounds of a twin (IoT Hub, "Device twins").
const (
	maxTags     = 8 << 10  // bytes, as sizeOf counts
	maxDesired  = 32 << 10 // bytes, as sizeOf counts
	maxDepth    = 10
	maxTwinKey  = 1 << 10 // bytes
	maxTwinText = 4 << 10 // bytes
	maxInteger  = 1 << 53
)

// object is a JSON object whose numbers stay as they are written.
type object map[string]any

// UnmarshalJSON takes an object or null.
func (o *object) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var m map[string]any
	if err := decoder.Decode(&m); err != nil {
		return fmt.Errorf("read object: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the object")
	}
	*o = m
	return nil
}

// text returns the object as JSON, {} for nil.
func (o object) text() string {
	if o == nil {
		return "{}"
	}
	text, err := json.Marshal(o)
	if err != nil { // it came from JSON
		return "{}"
	}
	return string(text)
}

// twin is a device twin as it is stored.
type twin struct {
	Version  int64   `json:"version"`
	Tags     object  `json:"tags,omitempty"`
	Desired  section `json:"desired"`
	Reported section `json:"reported"`
}

// section is desired or reported properties with the hub's own marks.
type section struct {
	Values  object `json:"values,omitempty"`
	Meta    object `json:"meta"`
	Version int64  `json:"version"`

	patch object // that the change under way amounts to; nil: it changes nothing
}

func newTwin(now time.Time) twin {
	fresh := func() section {
		return section{Meta: object{"$lastUpdated": timeText(now)}, Version: 1}
	}
	return twin{Version: 1, Desired: fresh(), Reported: fresh()}
}

// version counts all changes; Version those by services.
func (t *twin) version() int64 { return t.Version + t.Reported.Version - 1 }

// report merges what the device reports; null deletes. The etag stays, so that no device
// stands in the way of a service's conditional write.
func (t *twin) report(patch object, now time.Time) error {
	if err := checkObject("properties.reported", patch, 1); err != nil {
		return err
	}
	t.Reported.merge(patch, now)
	if sizeOf(t.Reported.Values) > maxDesired {
		return badArgument("properties.reported must be at most 32 KB")
	}
	return nil
}

// etag returns the twin's etag: its version, as real hubs do.
func (t *twin) etag() string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(t.Version))) //nolint:gosec // never negative
}

// twinInput is what a service may write; absent members are nil. Reported properties
// are the device's and are ignored.
type twinInput struct {
	Tags       object `json:"tags"`
	Properties *struct {
		Desired object `json:"desired"`
	} `json:"properties"`
}

// desired returns the wanted properties without the hub's marks, which callers send
// back when they change a twin that they read.
func (in *twinInput) desired() object {
	if in.Properties == nil {
		return nil
	}
	values := in.Properties.Desired
	delete(values, "$version")
	delete(values, "$metadata")
	return values
}

func (in *twinInput) check() error {
	if err := checkObject("tags", in.Tags, 1); err != nil {
		return err
	}
	return checkObject("properties.desired", in.desired(), 1)
}

// patch merges what was sent; null deletes.
func (t *twin) patch(in twinInput, now time.Time) error {
	if err := in.check(); err != nil {
		return err
	}
	if in.Tags != nil {
		t.Tags = merged(t.Tags, in.Tags)
	}
	if desired := in.desired(); desired != nil {
		t.Desired.merge(desired, now)
	}
	t.Version++
	return t.checkSize()
}

// replace puts what was sent in the place of tags and desired properties.
func (t *twin) replace(in twinInput, now time.Time) error {
	if err := in.check(); err != nil {
		return err
	}
	t.Tags = merged(nil, in.Tags)
	before := t.Desired.Values
	t.Desired.Values, t.Desired.Meta = nil, object{}
	t.Desired.merge(in.desired(), now)
	t.Desired.patch = difference(before, t.Desired.Values)
	t.Version++
	return t.checkSize()
}

func (t *twin) checkSize() error {
	if sizeOf(t.Tags) > maxTags {
		return badArgument("tags must be at most 8 KB")
	}
	if sizeOf(t.Desired.Values) > maxDesired {
		return badArgument("properties.desired must be at most 32 KB")
	}
	return nil
}

// merge merges a patch and marks what it touched with time and version.
func (s *section) merge(patch object, now time.Time) {
	s.Version++
	s.patch = patch
	s.Values = merged(s.Values, patch)
	s.Meta = marked(s.Meta, patch, timeText(now), s.Version)
}

// merged returns old with the patch applied (RFC 7396); old is not changed.
func merged(old, patch map[string]any) object {
	out := make(object, len(old)+len(patch))
	maps.Copy(out, old)
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(out, name)
		case map[string]any:
			child, _ := out[name].(map[string]any)
			out[name] = map[string]any(merged(child, value))
		default:
			out[name] = value
		}
	}
	return out
}

// difference returns the patch that leads from one object to another.
func difference(from, to map[string]any) object {
	out := object(maps.Clone(to))
	if out == nil {
		out = object{}
	}
	for name, was := range from {
		is, kept := to[name]
		before, wasObject := was.(map[string]any)
		after, isObject := is.(map[string]any)
		switch {
		case !kept:
			out[name] = nil
		case wasObject && isObject:
			out[name] = map[string]any(difference(before, after))
		}
	}
	return out
}

// marked returns the metadata of old with the touched members stamped.
func marked(old, patch map[string]any, now string, version int64) object {
	out := make(object, len(old)+len(patch)+2)
	maps.Copy(out, old)
	out["$lastUpdated"], out["$lastUpdatedVersion"] = now, version
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(out, name)
		case map[string]any:
			child, _ := out[name].(map[string]any)
			out[name] = map[string]any(marked(child, value, now, version))
		default:
			out[name] = map[string]any{"$lastUpdated": now, "$lastUpdatedVersion": version}
		}
	}
	return out
}

// checkObject holds the rules for names and values of twins.
func checkObject(path string, o map[string]any, depth int) error {
	if depth > maxDepth {
		return badArgument("%s is nested deeper than 10 levels", path)
	}
	for name, value := range o {
		if err := checkName(path, name); err != nil {
			return err
		}
		if err := checkValue(path+"."+name, value, depth); err != nil {
			return err
		}
	}
	return nil
}

func checkName(path, name string) error {
	if name == "" || len(name) > maxTwinKey {
		return badArgument("%s has a name of no or more than 1024 bytes", path)
	}
	bad := func(r rune) bool { return r < ' ' || r == 0x7f || r == '.' || r == '$' || r == ' ' }
	if strings.ContainsFunc(name, bad) {
		return badArgument("%s has a name with a control character, '.', '$' or a blank", path)
	}
	return nil
}

func checkValue(path string, value any, depth int) error {
	switch value := value.(type) {
	case map[string]any:
		return checkObject(path, value, depth+1)
	case []any:
		for _, one := range value {
			if err := checkValue(path, one, depth+1); err != nil {
				return err
			}
		}
		if depth >= maxDepth {
			return badArgument("%s is nested deeper than 10 levels", path)
		}
	case string:
		if len(value) > maxTwinText {
			return badArgument("%s is longer than 4 KB", path)
		}
	case json.Number:
		return checkNumber(path, value)
	}
	return nil
}

func checkNumber(path string, n json.Number) error {
	if strings.ContainsAny(n.String(), ".eE") {
		if _, err := n.Float64(); err != nil {
			return badArgument("%s is no number that a double holds", path)
		}
		return nil
	}
	if i, err := n.Int64(); err != nil || i > maxInteger || i < -maxInteger {
		return badArgument("%s is beyond plus or minus 2^53", path)
	}
	return nil
}
