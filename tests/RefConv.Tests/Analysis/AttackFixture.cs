namespace RefConv.Tests.Analysis;

// Made by tests/Golden/attacks.py with PyTorch; not to be edited.
internal static class AttackFixture
{
    /// <summary>Loss, and digest of its gradient in the normalised pictures.</summary>
    public static readonly double[] Gradient = [6.718121506, 0.1912321501, -0.1544743274, 0.4364259028];

    /// <summary>Epsilon, step size and steps in 255ths; loss on the attacked pictures, and their digest, normalised.</summary>
    public static readonly (double Epsilon, double StepSize, int Steps, double[] Result)[] Attacks =
    [
        (2, 2, 1, [6.892219168, 46.43188901, 63.20522805, 28.48496987]),
        (8, 8, 1, [7.377865235, 46.68285407, 63.12489119, 36.50697879]),
        (4, 1.5, 4, [7.065885938, 46.50599723, 64.75592891, 31.15883104]),
    ];
}
