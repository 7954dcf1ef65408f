using RefConv.Layers;

namespace RefConv.Models.Train;

/// <summary>A row of a <see cref="TrainingTable"/>: where a training starts, in what form and by what recipe.</summary>
/// <param name="Name">Its name, and that of its folder.</param>
/// <param name="Recipe">Its recipe; the seed is replaced by that of each repetition.</param>
/// <param name="Start">Name of the row whose trained model it starts from; null: the initial weights of the seed.</param>
/// <param name="Method">The form it is trained in; null for the plain model.</param>
internal sealed record TrainingRow(string Name, Recipe Recipe, string? Start = null, IReparameterization? Method = null);
