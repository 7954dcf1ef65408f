namespace RefConv.Kernels;

/// <summary>
/// Shape of the refocusing transform: a small grouped convolution over a frozen convolution kernel seen as one picture of
/// D = Cout·Cin/g channels, R×S pixels (RefConv, arXiv 2310.10563).
/// </summary>
/// <param name="Cout">Output channels of the convolution whose kernel is refocused.</param>
/// <param name="Cin">Its input channels.</param>
/// <param name="Groups">Its groups g.</param>
/// <param name="R">Its kernel rows.</param>
/// <param name="S">Its kernel columns.</param>
/// <param name="MapK">Size k of the refocusing kernel: odd, at most min(R, S).</param>
/// <remarks>
/// Kernel channels are numbered <c>d = o·(Cin/g) + i</c>. Refocus groups are runs of g consecutive d, so there are
/// D/g = Cin·Cout/g² of them. The transform itself has Cin·Cout·k² weights, whatever g is.
/// <para>
/// Storage. A kernel (basis, result and their gradients) is stored as every convolution kernel is, <c>[r, s, i, o]</c>. The map is stored
/// <c>[d, j, u, v]</c> when g &gt; 1 (then one output reads g·k² weights in a row, streamed once), and
/// <c>[u, v, i, o]</c> when g = 1 (then every tap is an element-wise product of whole kernels).
/// </para>
/// </remarks>
public readonly record struct RefocusGeometry(int Cout, int Cin, int Groups, int R, int S, int MapK)
{
    /// <summary>Input channels one filter sees, Cin / g.</summary>
    public int GroupC => Cin / Groups;

    /// <summary>Kernel channels D = Cout·Cin/g.</summary>
    public int D => Cout * GroupC;

    /// <summary>Elements of the kernel, D·R·S.</summary>
    public long KernelLength => (long)D * R * S;

    /// <summary>Elements of the map, D·g·k² = Cin·Cout·k².</summary>
    public long MapLength => (long)D * Groups * MapK * MapK;

    /// <summary>
    /// Elements of the unfolded basis: for g &gt; 1, <c>[D/g, R·S, g·k²]</c>, row (y,x) of group q holding
    /// <c>basis[q·g+j, y+u−k/2, x+v−k/2]</c> in the order (j,u,v), zero outside; 0 for g = 1, which reads the basis itself.
    /// </summary>
    public long UnfoldedLength => Groups == 1 ? 0 : (long)(D / Groups) * R * S * Groups * MapK * MapK;

    /// <summary>Multiply-adds of one transform, Cin·Cout·R·S·k²: independent of batch and image size.</summary>
    public long Macs => MapLength * R * S;

    /// <inheritdoc/>
    public override string ToString() => $"{Cin}→{Cout} g{Groups} k{R}×{S} map{MapK}";
}

public partial interface IKernels
{
    /// <summary>Writes the unfolded basis (see <see cref="RefocusGeometry.UnfoldedLength"/>); once for a frozen basis, every step for a trained one. Does nothing for g = 1.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="basis">[R, S, Cin/g, Cout]</param>
    /// <param name="unfolded">[D/g, R·S, g·k²]</param>
    void RefocusUnfold(in RefocusGeometry g, BufferView basis, BufferView unfolded);

    /// <summary>
    /// <c>result[d,y,x] = [shortcut] basis[d,y,x] + Σ_{j&lt;g} Σ_{u,v} map[d,j,u,v] · basis[⌊d/g⌋·g + j, y+u−k/2, x+v−k/2]</c>.
    /// A zero map gives the basis back, bit for bit.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="basis">[R, S, Cin/g, Cout]</param>
    /// <param name="unfolded">From <see cref="RefocusUnfold"/>; empty for g = 1.</param>
    /// <param name="map">See <see cref="RefocusGeometry"/>.</param>
    /// <param name="result">[R, S, Cin/g, Cout]</param>
    /// <param name="shortcut">Add the basis (the identity shortcut).</param>
    void RefocusForward(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView map, BufferView result, bool shortcut);

    /// <summary><c>dmap[d,j,u,v] = Σ_{y,x} dw[d,y,x] · basis[⌊d/g⌋·g + j, y+u−k/2, x+v−k/2]</c>.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="basis">[R, S, Cin/g, Cout]</param>
    /// <param name="unfolded">From <see cref="RefocusUnfold"/>; empty for g = 1.</param>
    /// <param name="dw">[R, S, Cin/g, Cout], the gradient of the result.</param>
    /// <param name="dmap">Stored as the map is.</param>
    /// <param name="accumulate">Add to dmap instead of overwriting it.</param>
    void RefocusMapGradient(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView dw, BufferView dmap, bool accumulate);

    /// <summary>
    /// <see cref="RefocusMapGradient"/> and <see cref="SgdStep"/> in one, with the same bits. The gradient, as large as the map itself, is never
    /// in memory: of the seven passes over it (written once, fetched for that, read; map and velocity read and written) four are left.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="step">Constants of the step.</param>
    /// <param name="basis">[R, S, Cin/g, Cout]</param>
    /// <param name="unfolded">From <see cref="RefocusUnfold"/>; empty for g = 1.</param>
    /// <param name="dw">[R, S, Cin/g, Cout], the gradient of the result.</param>
    /// <param name="map">Updated; stored as <see cref="RefocusGeometry"/> says.</param>
    /// <param name="velocity">Updated; as the map. Empty when there is no momentum.</param>
    void RefocusMapStep(in RefocusGeometry g, in SgdStepGeometry step, BufferView basis, BufferView unfolded, BufferView dw, BufferView map, BufferView velocity);

    /// <summary>
    /// <c>dbasis[c,y,x] = [shortcut] dw[c,y,x] + Σ_{d in c's group} Σ_{u,v} map[d, c mod g, u, v] · dw[d, y−u+k/2, x−v+k/2]</c>
    /// (for the learnable-basis ablations).
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="map">See <see cref="RefocusGeometry"/>.</param>
    /// <param name="dw">[R, S, Cin/g, Cout], the gradient of the result.</param>
    /// <param name="dbasis">[R, S, Cin/g, Cout]</param>
    /// <param name="shortcut">The transform had the shortcut.</param>
    /// <param name="accumulate">Add to dbasis instead of overwriting it.</param>
    void RefocusBasisGradient(in RefocusGeometry g, BufferView map, BufferView dw, BufferView dbasis, bool shortcut, bool accumulate);
}
