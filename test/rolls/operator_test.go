package rolls_test

import (
	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// hubsTrustCA has hubs hold the devices of X.509 groups to their CA.
func (w *world) hubsTrustCA() {
	w.t.Helper()
	by := "certificateAuthority"
	for _, h := range w.d.Ready.Hubs {
		_, err := w.d.Admin.UpdateHub(w.t.Context(), w.d.Ready.IDScope, h.HostName, admin.LinkedHub{GroupX509: &by})
		w.need(err)
	}
}

// hubsTake limits the identity writes that hubs take a minute; 0: none.
func (w *world) hubsTake(rate int) {
	w.t.Helper()
	for _, h := range w.d.Ready.Hubs {
		_, err := w.d.Admin.UpdateHub(w.t.Context(), w.d.Ready.IDScope, h.HostName, admin.LinkedHub{IdentityRate: &rate})
		w.need(err)
	}
}

// retrieved is the primary key of a mechanism that was asked for.
func (w *world) retrieved(m service.AttestationMechanism, err error) dps.Secret {
	w.t.Helper()
	w.need(err)
	if m.SymmetricKey == nil || m.SymmetricKey.PrimaryKey == nil {
		w.t.Fatalf("%s: no key in %+v", w.step, m)
	}
	return dps.NewSecret(*m.SymmetricKey.PrimaryKey)
}

func (w *world) substatus() string {
	w.t.Helper()
	r, err := w.d.Service.Registration(w.t.Context(), w.id)
	w.need(err)
	if r.Substatus == nil {
		return ""
	}
	return *r.Substatus
}
