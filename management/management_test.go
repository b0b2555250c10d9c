package management_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
)

// useCases are one call of each use case, in the world's scope.
func useCases(s *management.Service, c management.Caller) map[string]func(context.Context) error {
	const id = managementtest.Scope
	individual := enrollment.Individual{ID: "sn-1", Mechanism: attestation.TPM{EndorsementKey: []byte{1}}}
	group := enrollment.Group{ID: "line-3", Mechanism: attestation.GroupKey{}}
	return map[string]func(context.Context) error{
		"Individual": func(ctx context.Context) error { _, err := s.Individual(ctx, c, id, "sn-1"); return err },
		"PutIndividual": func(ctx context.Context) error {
			_, err := s.PutIndividual(ctx, c, id, individual, management.Write{})
			return err
		},
		"DeleteIndividual": func(ctx context.Context) error { return s.DeleteIndividual(ctx, c, id, "sn-1", "") },
		"RevealIndividual": func(ctx context.Context) error { _, err := s.RevealIndividual(ctx, c, id, "sn-1"); return err },
		"Group":            func(ctx context.Context) error { _, err := s.Group(ctx, c, id, "line-3"); return err },
		"PutGroup": func(ctx context.Context) error {
			_, err := s.PutGroup(ctx, c, id, group, management.Write{})
			return err
		},
		"DeleteGroup": func(ctx context.Context) error { return s.DeleteGroup(ctx, c, id, "line-3", "") },
		"RevealGroup": func(ctx context.Context) error { _, err := s.RevealGroup(ctx, c, id, "line-3"); return err },
		"BulkIndividuals": func(ctx context.Context) error {
			read := func() (enrollment.Individual, error) { return individual, nil }
			return bulkError(s.BulkIndividuals(ctx, c, id, management.Bulk[enrollment.Individual]{
				Mode: management.Create, Items: []management.Item[enrollment.Individual]{{ID: "sn-1", Read: read}},
			}))
		},
		"BulkGroups": func(ctx context.Context) error {
			read := func() (enrollment.Group, error) { return group, nil }
			return bulkError(s.BulkGroups(ctx, c, id, management.Bulk[enrollment.Group]{
				Mode: management.Create, Items: []management.Item[enrollment.Group]{{ID: "line-3", Read: read}},
			}))
		},
		"Individuals":        func(ctx context.Context) error { _, err := s.Individuals(ctx, c, id, management.Query{}); return err },
		"Groups":             func(ctx context.Context) error { _, err := s.Groups(ctx, c, id, management.Query{}); return err },
		"Registration":       func(ctx context.Context) error { _, err := s.Registration(ctx, c, id, "sn-1"); return err },
		"DeleteRegistration": func(ctx context.Context) error { return s.DeleteRegistration(ctx, c, id, "sn-1", "") },
		"GroupRegistrations": func(ctx context.Context) error {
			_, err := s.GroupRegistrations(ctx, c, id, "line-3", management.Query{})
			return err
		},
		"Scope": func(ctx context.Context) error { _, err := s.Scope(ctx, c, id); return err },
		"UpdateScope": func(ctx context.Context) error {
			_, err := s.UpdateScope(ctx, c, id, management.ScopeChange{}, "")
			return err
		},
		"Hubs": func(ctx context.Context) error { _, err := s.Hubs(ctx, c, id); return err },
		"Hub":  func(ctx context.Context) error { _, err := s.Hub(ctx, c, id, managementtest.Hub1); return err },
		"LinkHub": func(ctx context.Context) error {
			_, err := s.LinkHub(ctx, c, id, managementtest.Hub1, management.HubChange{})
			return err
		},
		"UpdateHub": func(ctx context.Context) error {
			_, err := s.UpdateHub(ctx, c, id, managementtest.Hub1, management.HubChange{})
			return err
		},
		"UnlinkHub": func(ctx context.Context) error {
			return s.UnlinkHub(ctx, c, id, managementtest.Hub1, management.Unlink{Force: true})
		},
		"TestHub":     func(ctx context.Context) error { _, err := s.TestHub(ctx, c, id, managementtest.Hub1); return err },
		"Authorities": func(ctx context.Context) error { _, err := s.Authorities(ctx, c, id); return err },
		"Authority":   func(ctx context.Context) error { _, err := s.Authority(ctx, c, id, "root"); return err },
		"PutAuthority": func(ctx context.Context) error {
			_, err := s.PutAuthority(ctx, c, id, "root", management.AuthorityChange{})
			return err
		},
		"DeleteAuthority": func(ctx context.Context) error { _, err := s.DeleteAuthority(ctx, c, id, "root", ""); return err },
		"Policies":        func(ctx context.Context) error { _, err := s.Policies(ctx, c, id); return err },
		"Policy":          func(ctx context.Context) error { _, err := s.Policy(ctx, c, id, "p"); return err },
		"PutPolicy": func(ctx context.Context) error {
			_, err := s.PutPolicy(ctx, c, id, "p", management.PolicyChange{})
			return err
		},
		"DeletePolicy": func(ctx context.Context) error { return s.DeletePolicy(ctx, c, id, "p", "") },
		"RevealPolicy": func(ctx context.Context) error { _, err := s.RevealPolicy(ctx, c, id, "p"); return err },
		"NewVerificationCode": func(ctx context.Context) error {
			_, err := s.NewVerificationCode(ctx, c, id, "root", "")
			return err
		},
		"VerifyAuthority": func(ctx context.Context) error { _, err := s.VerifyAuthority(ctx, c, id, "root", "", ""); return err },
		"AuthorityGroups": func(ctx context.Context) error { _, err := s.AuthorityGroups(ctx, c, id, "root"); return err },
		"RenewPolicyKey": func(ctx context.Context) error {
			_, err := s.RenewPolicyKey(ctx, c, id, managementtest.Reader, management.PrimaryKey, "")
			return err
		},
		"SwapPolicyKeys": func(ctx context.Context) error {
			_, err := s.SwapPolicyKeys(ctx, c, id, managementtest.Reader, "")
			return err
		},
		"RotateHub": func(ctx context.Context) error {
			next := dps.NewSecret("HostName=" + managementtest.Hub2 + ";SharedAccessKeyName=o;SharedAccessKey=" + managementtest.Key)
			_, err := s.RotateHub(ctx, c, id, managementtest.Hub2, next, "")
			return err
		},
		"FinishHubRotation": func(ctx context.Context) error {
			_, err := s.FinishHubRotation(ctx, c, id, managementtest.Hub2, false, "")
			return err
		},
		"PutIPFilter": func(ctx context.Context) error { _, err := s.PutIPFilter(ctx, c, id, nil, ""); return err },
		"ExplainIP": func(ctx context.Context) error {
			_, err := s.ExplainIP(ctx, c, id, "::1", scope.DeviceEndpoint)
			return err
		},
		"PutDenials": func(ctx context.Context) error {
			_, err := s.PutDenials(ctx, c, id, []scope.Denial{{Kind: scope.DenySerial, Value: "0a"}})
			return err
		},
		"Denials": func(ctx context.Context) error { _, err := s.Denials(ctx, c, id); return err },
		"DeleteDenial": func(ctx context.Context) error {
			return s.DeleteDenial(ctx, c, id, scope.Denial{Kind: scope.DenySerial, Value: "0a"})
		},
		"PutCRL":    func(ctx context.Context) error { _, err := s.PutCRL(ctx, c, id, "root", "", nil); return err },
		"DeleteCRL": func(ctx context.Context) error { return s.DeleteCRL(ctx, c, id, "root", "") },
		"Impact":    func(ctx context.Context) error { _, err := s.Impact(ctx, c, id, "root"); return err },
		"AuditLog": func(ctx context.Context) error {
			_, err := s.AuditLog(ctx, c, storage.AuditFilter{Scope: id}, "")
			return err
		},
		"Scopes": func(ctx context.Context) error { _, err := s.Scopes(ctx, c); return err },
		"CreateScope": func(ctx context.Context) error {
			_, err := s.CreateScope(ctx, c, "0neX", management.ScopeChange{})
			return err
		},
		"DeleteScope": func(ctx context.Context) error { return s.DeleteScope(ctx, c, id, "") },
	}
}

// bulkError is the error of a bulk call, or else of its first failed item.
func bulkError(failed []management.Failure, err error) error {
	if err == nil && len(failed) > 0 {
		return failed[0].Err
	}
	return err
}

// No use case serves a caller without the right, or of another scope, whatever the
// surface forgot to check.
func TestEveryUseCaseDemandsARight(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for _, tt := range []struct {
		name   string
		caller management.Caller
		code   dps.Code
	}{
		{"nobody", management.Caller{}, dps.Forbidden},
		{"another scope's policy", management.Caller{Scope: "0neOTHER", Rights: scope.AllRights}, dps.WrongScope},
		{"another scope's owner", management.Caller{Grants: []management.Grant{{Role: management.RoleOwner, Scopes: []dps.IDScope{"0neOTHER"}}}}, dps.WrongScope},
		{"an uploader", management.Caller{Grants: []management.Grant{{Role: management.RoleUploader}}}, dps.Forbidden},
		{"a device", management.Caller{Rights: scope.DeviceConnect}, dps.Forbidden},
	} {
		for name, use := range useCases(w.Management, tt.caller) {
			if name == "Scopes" { // shows those that one may see
				continue
			}
			if err := use(t.Context()); !dps.Is(err, tt.code) {
				t.Errorf("%s, %s: %v", name, tt.name, err)
			}
		}
	}
	owner := management.Caller{Grants: []management.Grant{{Role: management.RoleOwner, Scopes: []dps.IDScope{managementtest.Scope}}}}
	for _, name := range []string{"CreateScope", "DeleteScope"} {
		if err := useCases(w.Management, owner)[name](t.Context()); !dps.Is(err, dps.WrongScope) {
			t.Errorf("%s, the scope's owner: %v", name, err)
		}
	}
}

// deaf is a deployment whose audit can't be written.
type deaf struct{ storage.Deployment }

func (deaf) Audit(context.Context, storage.AuditRecord) error { return errors.New("disk full") }

// What can't be recorded is not revealed.
func TestNoRevelationWithoutRecord(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	operator := management.Operator("")
	if err := useCases(w.Management, operator)["PutIndividual"](t.Context()); err != nil {
		t.Fatal(err)
	}
	s := management.New(management.Deps{
		Enrollments: w.Store.Enrollments(), Registrations: w.Store.Registrations(), Scopes: w.Store.Scopes(),
		Deployment: deaf{w.Store.Deployment()}, HubKinds: []string{hub.KindAzureIoT}, Now: w.Now, Rand: rand.Reader,
	})
	if e, err := s.RevealIndividual(t.Context(), operator, managementtest.Scope, "sn-1"); err == nil || e.ID != "" {
		t.Errorf("individual: %v, %v", e.ID, err)
	}
	if k, err := s.RevealPolicy(t.Context(), operator, managementtest.Scope, managementtest.Owner); err == nil || !k.Primary.IsZero() {
		t.Errorf("policy: %v, %v", k.Name, err)
	}
}

func TestEveryWriteIsAudited(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.AddAuthority(t, "root", managementtest.Certificate(t, "Factory Root", managementtest.CA))
	if w.LastAudit(t).Action != "certificate.put" {
		t.Errorf("a CA certificate left %+v", w.LastAudit(t))
	}
	uses := useCases(w.Management, management.Operator(""))
	for _, name := range []string{
		"PutIndividual", "RevealIndividual", "DeleteIndividual", "PutGroup", "RevealGroup", "DeleteGroup",
		"BulkIndividuals", "BulkGroups", "UpdateScope", "NewVerificationCode", "DeleteAuthority",
		"LinkHub", "UpdateHub", "RotateHub", "FinishHubRotation", "UnlinkHub", "RenewPolicyKey", "SwapPolicyKeys", "PutIPFilter", "PutDenials", "DeleteDenial", "PutPolicy", "RevealPolicy", "DeletePolicy", "CreateScope",
	} {
		before := len(w.Audits(t))
		if err := uses[name](t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(w.Audits(t)) - before; n != 1 {
			t.Errorf("%s left %d audit records", name, n)
		}
	}
}

// counted counts how often the configuration is read.
type counted struct {
	scope.Store

	snapshots int
}

func (c *counted) Snapshot(ctx context.Context, id dps.IDScope) (scope.Snapshot, error) {
	c.snapshots++
	return c.Store.Snapshot(ctx, id)
}

// All items of a bulk call are held to the same configuration, read once.
func TestBulkReadsTheConfigurationOnce(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	scopes := &counted{Store: w.Store.Scopes()}
	s := management.New(management.Deps{
		Enrollments: w.Store.Enrollments(), Registrations: w.Store.Registrations(), Scopes: scopes,
		Deployment: w.Store.Deployment(), HubKinds: []string{hub.KindAzureIoT}, Now: w.Now, Rand: rand.Reader,
	})
	b := management.Bulk[enrollment.Individual]{Mode: management.Create}
	for _, id := range []string{"sn-1", "sn-2", "sn-3"} {
		b.Items = append(b.Items, management.Item[enrollment.Individual]{ID: id, Read: func() (enrollment.Individual, error) {
			return enrollment.Individual{ID: dps.RegistrationID(id), Mechanism: attestation.TPM{EndorsementKey: []byte{1}}}, nil
		}})
	}
	if failed, err := s.BulkIndividuals(t.Context(), management.Operator(""), managementtest.Scope, b); err != nil || len(failed) > 0 {
		t.Fatalf("%v, %v", failed, err)
	}
	if scopes.snapshots != 1 {
		t.Errorf("read %d times", scopes.snapshots)
	}
}

func TestParseAPIVersion(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"2021-10-01": true, "2018-09-01-preview": true, "2031-12-31": true,
		"": false, "2021-10": false, "2021-10-01-Preview": false, "2021-10-01-beta": false, "2021-02-30": false, "latest": false, "-preview": false,
	} {
		if _, err := management.ParseAPIVersion(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
