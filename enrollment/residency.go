package enrollment

// ResidencyTag returns the tag that hubs must have; empty: none.
func (s *Settings) ResidencyTag() string {
	if s.Residency == nil {
		return ""
	}
	return *s.Residency
}

// KeepResidency takes over the stored tag unless another is given; writers that do not know
// the member leave it out. An empty one is none.
func (s *Settings) KeepResidency(stored *Settings) {
	if s.Residency == nil {
		s.Residency = stored.Residency
	}
	if s.ResidencyTag() == "" {
		s.Residency = nil
	}
}
