"""Marker genes of the cell types of the cortex, by panel.

Markers of neurons are from Tasic et al. (2018), with the classical markers of layers; those of all other cells are from
Zeisel et al. (2015).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class MarkerSets:
    """Markers of the major types, and of the subtypes of some of them.

    Attributes
    ----------
    major : dict of str to tuple of str
        Genes of each major type.
    subtypes : dict of str to dict of str to tuple of str
        Genes of each subtype, by major type.
    """

    major: dict[str, tuple[str, ...]]
    subtypes: dict[str, dict[str, tuple[str, ...]]]


MAJOR_MARKERS = {
    "Excitatory": ("Slc17a7", "Satb2", "Slc17a6", "Nptx1", "Icam5", "Slc30a3", "Neurod6"),
    "Inhibitory": ("Gad1", "Gad2", "Slc32a1", "Dlx1", "Dlx6os1", "Arx", "Nxph1"),
    "Astro": ("Aqp4", "Gja1", "Gjb6", "Aldh1l1", "Fgfr3", "Slc7a10", "Grin2c", "Acsbg1", "Mlc1"),
    "Oligo": ("Mag", "Mal", "Cnp", "Ermn", "Anln", "Cldn11", "Ugt8a", "Fa2h", "Plp1", "Mbp"),
    "OPC": ("Pdgfra", "Vcan", "Neu4", "Lhfpl3", "Gpr17", "Matn4", "Tnr", "Susd5", "Xylt1"),
    "Endo": ("Cldn5", "Pecam1", "Tek", "Cdh5", "Ptprb", "Tie1", "Slc2a1", "Slco1c1", "Kdr"),
    "SMC": ("Acta2", "Myh11", "Tagln", "Pdgfrb", "Vtn", "Kcnj8", "Abcc9", "Cnn1", "Gja4", "Casq2"),
    "Micro": ("Cx3cr1", "P2ry12", "Tmem119", "Csf1r", "Selplg", "Laptm5", "Fcrls", "Mpeg1"),
}

SUBTYPE_MARKERS = {
    "Excitatory": {
        "eL2/3": ("Cux2", "Otof", "Stard8", "Rasgrf2", "Lamp5", "Rrad", "Adamts2", "Agmat"),
        "eL4": ("Rorb", "Scnn1a", "Rspo1", "Kcnh5", "Tmem215", "Cnih3"),
        "eL5a": ("Deptor", "Tcerg1l", "Endou", "Whrn", "Tox2", "Col27a1", "Hsd11b1", "Batf3"),
        "eL5b": ("Fezf2", "Chrna6", "Bcl6", "C1ql2", "Krt80", "Fam84b", "Npsr1", "Slc17a8"),
        "eL6": ("Foxp2", "Rprm", "Tle4", "Hs3st4", "Osr1", "Nxph4", "Cplx3", "Syt6"),
    },
    # Not every panel measures Vip and Sst, so the sets hold markers of the two lineages of interneurons, from the
    # caudal (VIP) and from the medial ganglionic eminence (SST, with PVALB).
    "Inhibitory": {
        "VIP": ("Vip", "Adarb2", "Htr3a", "Npas1", "Prox1", "Egfr", "Sp8"),
        "SST": ("Sst", "Lhx6", "Sox6", "Satb1", "Grin3a", "Chodl", "Elfn1"),
    },
}

CORTEX_MARKERS = MarkerSets(MAJOR_MARKERS, SUBTYPE_MARKERS)

# In seqFISH+, most markers of smooth muscle are detected in a smaller share of the vascular cells of Eng et al. than of
# all other cells. These are the markers of mural cells (with Notch3) that are detected in a larger share of them.
SEQFISH_MARKERS = MarkerSets({**MAJOR_MARKERS, "SMC": ("Vtn", "Pdgfrb", "Notch3")}, SUBTYPE_MARKERS)

# The STARmap panel has 1,020 genes. Each marker of a major type has its highest mean over the 16 classes of Wang et al.
# in a class of that type. The panel has three markers of OPCs, too few for a score that differs from noise; neither
# Wang et al. nor the paper names OPCs in these data.
STARMAP_MARKERS = MarkerSets(
    major={
        "Excitatory": ("Slc17a7", "Satb2", "Nptx1", "Neurod6", "Tbr1", "Nrn1", "Nrgn", "Sv2b", "Camk2a", "Arpp21"),
        "Inhibitory": ("Gad1", "Gad2", "Slc32a1", "Dlx1", "Dlx2", "Dlx5", "Dlx6os1", "Arx", "Nxph1", "Slc6a1"),
        "Astro": ("Aqp4", "Aldh1l1", "Fgfr3", "Acsbg1", "Atp1a2", "Slc1a3", "Ntsr2"),
        "Oligo": ("Mal", "Cnp", "Plp1", "Mbp", "Trf", "Pllp", "Enpp2"),
        "Endo": ("Cldn5", "Slco1c1", "Bsg", "Itm2a"),
        "SMC": ("Acta2", "Mgp", "Dcn", "Aebp1"),
        "Micro": ("Aif1", "Rgs10", "B2m"),
    },
    subtypes={
        "Excitatory": {
            "eL2/3": ("Cux2", "Otof", "Rasgrf2", "Lamp5", "Adamts2"),
            "eL4": ("Rorb", "Scnn1a", "Rspo1", "Tmem215", "Cnih3"),
            "eL5": ("Deptor", "Tcerg1l", "Whrn", "Hsd11b1", "Batf3", "Fezf2", "Chrna6", "Bcl6", "Fam84b"),
            "eL6": ("Foxp2", "Rprm", "Tle4", "Hs3st4", "Nxph4", "Cplx3", "Syt6"),
            "HPC": ("Spink8", "Wfs1", "Hpca", "Cpne6", "Cpne7", "Neurod6"),
        },
        "Inhibitory": {
            "VIP": ("Vip", "Htr3a", "Npas1", "Calb2", "Crh"),
            "SST": ("Sst", "Crhbp", "Chodl", "Elfn1", "Pdyn"),
            "PVALB": ("Pvalb", "Tac1", "Kcnc2", "Cox6a2", "Btbd11"),
            "Reln": ("Reln", "Ndnf", "Krt73", "Npy"),
        },
    })

# Further markers of oligodendrocytes (Zeisel et al. 2015) that are not genes of the myelin sheath, which are tested.
MYELINATION_MARKERS = {**MAJOR_MARKERS, "Oligo": (*MAJOR_MARKERS["Oligo"], "Trf", "Enpp2", "Gatm")}


def is_marker(text: str) -> bool:
    """Whether a text is the name of a gene that marks a type or a subtype, in any of the data sets."""
    return text in _ALL_GENES


def _genes(sets: MarkerSets) -> set[str]:
    subtypes = [genes for kinds in sets.subtypes.values() for genes in kinds.values()]
    return {gene for genes in (*sets.major.values(), *subtypes) for gene in genes}


_ALL_GENES = _genes(CORTEX_MARKERS) | _genes(STARMAP_MARKERS)
