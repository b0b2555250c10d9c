package management_test

import (
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management"
)

func TestRoles(t *testing.T) {
	t.Parallel()
	want := map[string]string{ // role: what it may, of viewer to owner
		"viewer": "10000", "uploader": "01000", "operator": "11100", "security": "11110", "owner": "11111",
	}
	for name, pattern := range want {
		role, err := management.ParseRole(name)
		if err != nil || role.String() != name {
			t.Fatalf("%s: %v, %v", name, role, err)
		}
		for i, lowest := range management.RoleNames() {
			l, _ := management.ParseRole(lowest)
			if role.May(l) != (pattern[i] == '1') {
				t.Errorf("%s may what %s may: %v", name, lowest, role.May(l))
			}
		}
	}
	if _, err := management.ParseRole("root"); !dps.Is(err, dps.InvalidArgument) {
		t.Errorf("root: %v", err)
	}
	if management.RoleNone.May(management.RoleViewer) || management.RoleOwner.May(management.RoleNone) {
		t.Error("no role may something")
	}
}

func TestUploadersOwnLots(t *testing.T) {
	t.Parallel()
	uploader := func(lots ...string) management.Caller {
		return management.Caller{Actor: "oidc:line-3", Grants: []management.Grant{{Role: management.RoleUploader, Scopes: []dps.IDScope{"0neA"}, Lots: lots}}}
	}
	operator := management.Caller{Actor: "oidc:op", Grants: []management.Grant{{Role: management.RoleOperator}}}
	viewer := management.Caller{Actor: "oidc:line-3", Grants: []management.Grant{{Role: management.RoleViewer}}}
	for _, tt := range []struct {
		name           string
		caller         management.Caller
		scope          dps.IDScope
		lot, by        string
		write, replace bool
	}{
		{"named lot", uploader("2026-47"), "0nea", "2026-47", "another", true, true},
		{"other lot", uploader("2026-47"), "0neA", "2026-48", "oidc:line-3", false, false},
		{"lots by prefix", uploader("x", "2026-*"), "0neA", "2026-48", "another", true, true},
		{"a star that is not at the end is a character", uploader("2026*8"), "0neA", "2026-48", "", false, false},
		{"other scope", uploader("*"), "0neB", "2026-48", "oidc:line-3", false, false},
		{"no lot", uploader("*", "x"), "0neA", "", "", true, true},
		{"own entry", uploader(), "0neA", "any", "oidc:line-3", true, true},
		{"another's entry", uploader(), "0neA", "any", "oidc:line-4", true, false},
		{"entry of nobody", uploader(), "0neA", "any", "", true, false},
		{"operator", operator, "0neB", "", "", true, true},
		{"viewer", viewer, "0neB", "any", "oidc:line-3", false, false},
		{"held to another scope", operator.In("0neA"), "0neB", "any", "", false, false},
	} {
		if got := tt.caller.MayWriteLot(tt.scope, tt.lot); got != tt.write && tt.lot != "" {
			t.Errorf("%s: may write is %v", tt.name, got)
		}
		if got := tt.caller.MayReplace(tt.scope, enrollment.Settings{Lot: tt.lot, Uploader: tt.by}); got != tt.replace {
			t.Errorf("%s: may replace is %v", tt.name, got)
		}
	}
	if uploader("*").MayWriteLot("0neA", "") {
		t.Error("an uploader may write entries of no lot")
	}
}
