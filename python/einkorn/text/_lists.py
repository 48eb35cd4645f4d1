"""Lists of English words, by hand."""

from __future__ import annotations

__all__ = ["ABBREVIATIONS", "STARTERS", "STOP_WORDS", "TITLES"]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


#: English words that say little by themselves.
STOP_WORDS: frozenset[str] = _set(
    """
    a about above after again against ain all am an and any are aren as at be because been before being
    below between both but by can couldn d did didn do does doesn doing don down during each few for
    from further had hadn has hasn have haven having he her here hers herself him himself his how i if
    in into is isn it its itself just ll m ma me mightn more most mustn my myself needn no nor not now o
    of off on once only or other our ours ourselves out over own re s same shan she should shouldn so
    some such t than that the their theirs them themselves then there these they this those through to
    too under until up ve very was wasn we were weren what when where which while who whom why will with
    won wouldn y you your yours yourself yourselves
    """
)
# A period belongs to them: the sentence goes on.
TITLES: frozenset[str] = _set(
    """
    adm atty brig capt cmdr col cpl dr drs gen gens gov govs hon lt maj messrs mlle mme mmes mr mrs ms
    mt pfc pres prof profs pvt rep reps rev sen sens sgt sr st supt
    """
)
# A period after them may end the sentence too: it does before a capital that begins a usual first word.
ABBREVIATIONS: frozenset[str] = _set(
    """
    a.d a.m al ala apr ariz assn assoc aug ave b.c ba blvd bros ca calif cf chap cm co colo conn corp
    dec del dept dist div e.g eds eq eqn eqs est etc ext feb fig figs fla ft ga gal hr hwy i.e ill inc
    ind jan jr kan kg km ky lb lbs ltd ma mar mass md mfg mgr mi mich min minn misc miss mo mont n.y nev
    no nos nov oct okla ore oz p.m pa par pct penna ph.d pl pp r.i rd refs rte sec sept seq sq stat tenn
    tex u.k u.n u.s va vers viz vol vols vs vt wash wis yr
    """
)
# Usual first words.
STARTERS: frozenset[str] = _set(
    """
    a after all also although an and another as at because before but by each even every for from he her
    here his how however i if in it its many meanwhile most my no not now of on once one only or our she
    since so some soon such that the their then there these they this those thus to today under until we
    what when where which while who why with yet you your
    """
)
