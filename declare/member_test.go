package declare_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/declare"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// What an operator can set can be declared, or an export would lose it.
func TestMembersOfTheAPI(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		api, file reflect.Type
		read      []string // members that nobody sets
	}{
		{"service", reflect.TypeFor[admin.Scope](), reflect.TypeFor[declare.Service](), nil},
		{"linkedHubs", reflect.TypeFor[admin.LinkedHub](), reflect.TypeFor[declare.Hub](), []string{"keyHint", "nextKeyHint", "devices"}},
		{"policies", reflect.TypeFor[admin.Policy](), reflect.TypeFor[declare.Policy](), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			read := append(tt.read, "etag", "createdDateTimeUtc", "lastUpdatedDateTimeUtc")
			declared := members(tt.file, "yaml")
			for _, member := range members(tt.api, "json") {
				if !slices.Contains(read, member) && !slices.Contains(declared, member) {
					t.Errorf("%s can be set and not be declared", member)
				}
			}
		})
	}
}

// members returns the names of a struct's fields by a kind of tag.
func members(of reflect.Type, tag string) []string {
	var names []string
	for _, field := range reflect.VisibleFields(of) {
		if name, _, _ := strings.Cut(field.Tag.Get(tag), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}
